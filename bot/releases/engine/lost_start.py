"""Ends that the record alone decided on: a request, a refusal or a timer ends a release that has
written nothing, as far as its record knows. Redis may have lost the moments in which it wrote. What
the cluster shows of them is rolled back first."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.lost_writes import has_own_writes
from bot.releases.engine.begin import with_plan
from bot.releases.engine.decision import Decision
from bot.releases.engine.lost_writes import with_lost_writes
from bot.releases.engine.outcome import RollBack
from bot.releases.engine.transitions import begin_rollback
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort
from bot.releases.planning.refusals import PlanRefused

UNOBSERVED_MS = 300_000
"""For so long an end waits for a cluster that does not answer."""


def is_unobserved_end(before: Release, ended: Decision) -> bool:
    """An end by force leaves the cluster as it is, and says so."""
    after = ended.release
    is_forced = any(isinstance(one.request, Abort) and one.request.force for one in before.asked)
    may_have_written = after.phase.is_final and after.phase is not Phase.SUCCEEDED
    return may_have_written and not is_forced and not before.has_written


def end_as_observed(before: Release, seen: Observation, ended: Decision, now: int) -> Decision:
    """``ended``, or the rollback that comes before it. The caller holds the locks where ``before``
    has no plan."""
    if not is_unobserved_end(before, ended) or not has_own_writes(before, seen):
        return ended
    try:
        planned = before if before.plan is not None else with_plan(before, seen, now)
    except PlanRefused:
        left = f"Redis lost what it found there and wrote: {_name(before)} is left as it is now"
        return _with_words(ended, left)
    after = ended.release
    planned = replace(planned, asked=(), held=None, lets_next_start=after.lets_next_start)
    events = tuple(event for event in ended.events if event.kind is not EventKind.FINISHED)
    decision = with_lost_writes(Decision(planned, events=events), seen, now)
    cause = after.cause or Cause(FailureClass.REQUEST, "ended")
    ends_as = Phase.ROLLED_BACK if after.phase is Phase.FAILED else after.phase
    return begin_rollback(RollBack(decision, cause, ends_as), now)


def end_unobserved(before: Release, ended: Decision) -> Decision:
    """The cluster did not answer for long enough."""
    return _with_words(ended, f"{_name(before)} was not observed: check it")


def _name(release: Release) -> str:
    return release.target.deployment


def _with_words(ended: Decision, words: str) -> Decision:
    release = ended.release
    cause = release.cause
    if cause is not None:
        release = replace(release, cause=replace(cause, summary=f"{cause.summary}; {words}"))
    events = tuple(
        replace(event, text=f"{event.text}; {words}") if event.kind is EventKind.FINISHED else event
        for event in ended.events
    )
    return replace(ended, release=release, events=events)
