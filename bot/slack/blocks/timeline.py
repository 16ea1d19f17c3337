"""The steps of a release that are over, each with how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bot.releases.facts.ages import duration
from bot.releases.facts.release import Release, StepTime
from bot.releases.facts.target import Strategy
from bot.slack.blocks.words import capitalised
from bot.slack.markup import plain

SHOWN_STEPS = 20
CLEAN_UP = "clean up"
WORTH_SAYING_MS = 1_000


def timeline_lines(release: Release) -> list[str]:
    """The last ones, in order."""
    return [_line(one) for one in steps_over(release)[-SHOWN_STEPS:]]


def steps_over(release: Release) -> list[StepTime]:
    """The steps after the point of no return of blue/green are one, as on the running card."""
    plan = release.plan.steps if release.plan and release.strategy is Strategy.BLUEGREEN else ()
    titles = {step.title for step in plan if step.committed}
    shown: list[StepTime] = []
    for is_clean_up, group in groupby(
        release.timeline, key=lambda one: one.title in titles and not one.cut
    ):
        of_group = list(group)
        shown += [_as_one(of_group)] if is_clean_up else of_group
    return shown


def _as_one(items: Sequence[StepTime]) -> StepTime:
    began, worked = items[0].began_at, sum(one.worked_ms for one in items)
    return StepTime(CLEAN_UP, began, items[-1].ended_at, reached_at=began + worked)


def _line(one: StepTime) -> str:
    took = took_words(one)
    mark, stopped = ("⏹️", ", stopped") if one.cut else ("✔️", "")
    return f"{mark} {plain(capitalised(one.title), 200)}{stopped} · {took}"


def took_words(one: StepTime) -> str:
    """``12 s``, or ``12 s, waited 4 min`` where it held or asked people."""
    waited = f", waited {duration(one.waited_ms)}" if one.waited_ms >= WORTH_SAYING_MS else ""
    return f"{duration(max(1, one.worked_ms))}{waited}"
