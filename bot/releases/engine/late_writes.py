"""When a rollback is planned: as soon as no announced write can come late any more, again when
the stable Deployment is gone, when the version that serves begins to fail, and when candidates
that are to be removed came to be all that a Service selects."""

from __future__ import annotations

from bot.releases.assess.failing import fails
from bot.releases.assess.intents import confirm_intents, find
from bot.releases.assess.selectors import serves_alone
from bot.releases.engine.decision import Decision
from bot.releases.engine.lost_writes import with_lost_writes
from bot.releases.engine.outcome import Outcome, Proceed, RollBack, Stop
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Release

LATE_WRITE_MS = 20_000
"""A lease: by then the worker that sent the write has ended, and its request with it."""


def plan_rollback(decision: Decision, seen: Observation, now: int) -> Outcome:
    release = decision.release
    if release.rollback is None:
        return Proceed(decision)
    if release.progress.at_step < 0:
        settled_at = release.phase_since + LATE_WRITE_MS
        if now < settled_at and _may_still_be_written(release, seen):
            return Stop(decision.wake(settled_at))
        decision = with_lost_writes(decision, seen, now)
    elif not (
        _lost_stable(release, seen)
        or _must_hurry(release, seen)
        or _candidates_came_to_serve_alone(release, seen)
    ):
        return Proceed(decision)
    cause = release.cause or Cause(FailureClass.REQUEST, "aborted")
    return RollBack(decision, cause, release.rollback.ends_as)


def _lost_stable(release: Release, seen: Observation) -> bool:
    exists = find(release.intents, Kind.DEPLOYMENT, release.target.deployment, Field.EXISTS)
    return seen.stable is None and exists is not None


def _must_hurry(release: Release, seen: Observation) -> bool:
    """The version that serves began to fail while stable was raised first."""
    step, rollback = release.current_step, release.rollback
    if step is None or rollback is None or not step.waits_for_capacity or rollback.at_once:
        return False
    return fails(release, seen)


def _candidates_came_to_serve_alone(release: Release, seen: Observation) -> bool:
    """Something else changed a selector since the step that removes them was planned."""
    step = release.current_step
    removes_them = step is not None and step.candidates == 0 and not step.keeps_candidate
    return removes_them and serves_alone(release, seen)


def _may_still_be_written(release: Release, seen: Observation) -> bool:
    """A write was announced and is not in effect: the API server may still carry out what the bot
    gave up on. A rollback planned too early would be overwritten by it after its end."""
    intents, _ = confirm_intents(release.intents, seen)
    return any(intent.written and not intent.confirmed for intent in intents)
