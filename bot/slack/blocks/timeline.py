"""The steps of a release that are over, each with how long it took."""

from __future__ import annotations

from bot.releases.facts.ages import duration
from bot.releases.facts.release import Release, StepTime
from bot.slack.blocks.words import capitalised
from bot.slack.markup import plain

SHOWN_STEPS = 20
WORTH_SAYING_MS = 1_000


def timeline_lines(release: Release) -> list[str]:
    """The last ones, in order."""
    return [_line(one) for one in release.timeline[-SHOWN_STEPS:]]


def _line(one: StepTime) -> str:
    took = took_words(one)
    mark, stopped = ("⏹️", ", stopped") if one.cut else ("✔️", "")
    return f"{mark} {plain(capitalised(one.title), 200)}{stopped} · {took}"


def took_words(one: StepTime) -> str:
    """``12 s``, or ``12 s, waited 4 min`` where it held or asked people."""
    waited = f", waited {duration(one.waited_ms)}" if one.waited_ms >= WORTH_SAYING_MS else ""
    return f"{duration(one.worked_ms)}{waited}"
