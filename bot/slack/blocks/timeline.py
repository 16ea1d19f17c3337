"""The steps of a release that are over, each with how long it took."""

from __future__ import annotations

from bot.releases.facts.ages import duration
from bot.releases.facts.release import Release, StepTime
from bot.slack.blocks.words import capitalised
from bot.slack.markup import plain

SHOWN_STEPS = 20


def timeline_lines(release: Release) -> list[str]:
    """The last ones, in order."""
    return [_line(one) for one in release.timeline[-SHOWN_STEPS:]]


def _line(one: StepTime) -> str:
    took = duration(one.ended_at - one.began_at)
    mark, stopped = ("⏹️", ", stopped") if one.cut else ("✔️", "")
    return f"{mark} {plain(capitalised(one.title), 200)}{stopped} · {took}"
