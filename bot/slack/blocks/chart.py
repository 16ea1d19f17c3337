"""How the share of traffic went over a release: Slack's chart block, and the same in words for
those whom no picture reaches.

Source of the block's fields: docs.slack.dev, data visualization block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.ports import Message
from bot.releases.facts.ages import duration
from bot.releases.facts.counts import counted
from bot.releases.facts.release import PodCounts, Release
from bot.slack.blocks.elements import Block
from bot.slack.blocks.words import verdict_words
from bot.slack.markup import cut

CHART = "data_visualization"
MAX_TITLE = 50
MAX_LABEL = 20
MAX_POINTS = 20
FEWEST_POINTS = 3


@dataclass(frozen=True)
class Point:
    """The end of a step. ``after``: elapsed since the release started; ``share``: percent;
    ``pods``: of the new version, as last observed."""

    after: str
    share: int
    pods: PodCounts | None = None


def points_of(release: Release) -> tuple[Point, ...]:
    """One for the start and one for each step that is over; () where no step had a share of its
    own."""
    steps = (*(release.plan.steps if release.plan is not None else ()), *release.steps)
    shares = {step.title: step.share for step in steps if step.share is not None}
    if not release.started_at or not any(0 < share < 100 for share in shares.values()):
        return ()
    points = [Point("0 s", 0)]
    for number, step in enumerate(release.timeline):
        share = 0 if step.cut else shares.get(step.title, points[-1].share)
        is_last = number == len(release.timeline) - 1
        if is_last and release.rollback is None and release.phase.is_final:
            share = 100
        after = duration(step.ended_at - release.started_at)
        if after == points[-1].after:
            points.pop()
        points.append(Point(after, share, step.pods))
    return tuple(points[-MAX_POINTS:]) if len(points) >= FEWEST_POINTS else ()


def chart_words(release: Release, points: Sequence[Point]) -> str:
    """``Share of 2.0.0: 0% at 0 s, 17% until 12 s, 100% at 30 s. Verdicts: good at 10 s.``"""
    ends = (0, len(points) - 1)  # a step's share lasts until its end
    shares = ", ".join(
        f"{one.share}% {'at' if number in ends else 'until'} {one.after}"
        for number, one in enumerate(points)
    )
    verdicts = ", ".join(
        f"{verdict_words(one)} at {duration(one.at - release.started_at)}"
        for one in release.judgements
    )
    numbers = ", ".join(
        f"{_numbers(one.pods)} until {one.after}" for one in points if one.pods is not None
    )
    more = f" Pods: {numbers}." if numbers else ""
    more += f" Verdicts: {verdicts}." if verdicts else ""
    return f"Share of {release.to_version}: {shares}.{more}"


def _numbers(pods: PodCounts) -> str:
    """``2 of 3 ready (1 failing, 4 restarts)``"""
    trouble = [f"{pods.failing} failing"] if pods.failing else []
    trouble += [counted(pods.restarts, "restart")] if pods.restarts else []
    return f"{pods.ready} of {pods.total} ready" + (f" ({', '.join(trouble)})" if trouble else "")


def charts_of(release: Release, points: Sequence[Point]) -> tuple[Block, ...]:
    """The share; and what was observed of the pods, where anything was. Slack takes two a
    message."""
    seen = [(one.after, one.pods) for one in points if one.pods is not None]
    if not seen:
        return (chart_block(release, points),)
    labels = [cut(after, MAX_LABEL) for after, _ in seen]
    values = {
        "ready": [pods.ready for _, pods in seen],
        "failing": [pods.failing for _, pods in seen],
        "restarts": [pods.restarts for _, pods in seen],
    }
    series = [
        {
            "name": name,
            "data": [
                {"label": label, "value": value}
                for label, value in zip(labels, numbers, strict=True)
            ],
        }
        for name, numbers in values.items()
    ]
    axes = {"categories": labels, "x_label": "Time", "y_label": "Pods, restarts"}
    chart = {"type": "bar", "series": series, "axis_config": axes}
    title = cut(f"Pods of {release.to_version} at the end of each step", MAX_TITLE)
    return (chart_block(release, points), {"type": CHART, "title": title, "chart": chart})


def chart_block(release: Release, points: Sequence[Point]) -> Block:
    labels = [cut(one.after, MAX_LABEL) for one in points]
    data = [
        {"label": label, "value": point.share} for label, point in zip(labels, points, strict=True)
    ]
    chart: Mapping[str, Any] = {
        "type": "line",
        "series": [{"name": cut(release.to_version, MAX_LABEL) or "share", "data": data}],
        "axis_config": {"categories": labels, "x_label": "Time", "y_label": "% of traffic"},
    }
    title = cut(f"Share of {release.to_version} in {release.target.label}", MAX_TITLE)
    return {"type": CHART, "title": title, "chart": chart}


def has_chart(message: Message) -> bool:
    return any(block.get("type") == CHART for block in message.blocks)


def without_charts(message: Message) -> Message:
    """The same message for a workspace that does not draw them: its words say what they show."""
    kept = tuple(block for block in message.blocks if block.get("type") != CHART)
    return replace(message, blocks=kept)
