"""Transitions of a release: into a step, into a rollback, into a pause. What causes them is decided
elsewhere."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.failing import fails, is_fault_of
from bot.releases.assess.intents import drop, find, is_claimed_by_another, put
from bot.releases.engine.decision import Decision, enter_phase, finish
from bot.releases.engine.outcome import RollBack
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import DeploymentGoal, Side
from bot.releases.facts.release import Phase, PodCounts, Progress, Release, Rollback, StepTime
from bot.releases.strategies import STRATEGIES


def enter_step(decision: Decision, index: int, now: int) -> Decision:
    release = replace(
        with_step_timed(decision.release, now),
        progress=Progress(at_step=index, began_at=now),
    )
    phase = Phase.ROLLING_BACK if release.rollback is not None else Phase.PROGRESSING
    decision = decision.changed(enter_phase(release, phase, now))
    if index < len(release.steps) and release.steps[index].until:
        decision = decision.record(now, EventKind.STEP_BEGAN, release.steps[index].title)
    return decision


def with_step_timed(release: Release, now: int, *, cut: bool = False) -> Release:
    """Steps that only let go of objects take no time that anyone waits for."""
    step = release.current_step
    if step is None or not (step.until or step.gates):
        return release
    progress = release.progress
    over = StepTime(
        step.title, progress.began_at, now, cut, progress.reached_at, _pods_now(release)
    )
    return replace(release, timeline=(*release.timeline, over))


def _pods_now(release: Release) -> PodCounts | None:
    snapshot = release.card_snapshot
    new = [one for one in snapshot.versions if one.is_new]
    if not new:
        return None
    return PodCounts(
        sum(one.ready for one in new),
        sum(one.pods for one in new),
        snapshot.struggle.pods if snapshot.struggle is not None else 0,
        sum(pod.restarts for pod in snapshot.pods if pod.is_new),
    )


def begin_rollback(outcome: RollBack, now: int) -> Decision:
    """As soon as a person asks; the next observation gives it its steps."""
    release = replace(
        with_step_timed(outcome.decision.release, now, cut=True),
        progress=Progress(at_step=-1, began_at=now),
        rollback=Rollback(outcome.ends_as),
        cause=outcome.cause,
        drift=(),
        paused_from=None,
        drifted_from=None,
    )
    return outcome.decision.changed(enter_phase(release, Phase.ROLLING_BACK, now)).wake(now)


def roll_back(outcome: RollBack, seen: Observation, now: int) -> Decision:
    """Everything returns to as found. A release that has written nothing simply ends."""
    before = outcome.decision.release
    decision = begin_rollback(outcome, now)
    rollback = Rollback(outcome.ends_as, at_once=_is_at_once(before, outcome.cause, seen))
    release = replace(
        decision.release,
        rollback=rollback,
        intents=_theirs_left_out(decision.release, seen),
    )
    steps = STRATEGIES[release.strategy].rollback_steps(release, seen)
    release = replace(
        release,
        rollback=replace(rollback, steps=steps),
        intents=_to_be_restored(release),
    )
    decision = decision.changed(release)
    if not steps:
        return finish(decision, outcome.ends_as, now, outcome.cause.summary)
    text = _rollback_text(release, outcome.cause)
    decision = decision.record(now, EventKind.ROLLING_BACK, text)
    return enter_step(decision, 0, now).wake(now)


def _is_at_once(release: Release, cause: Cause, seen: Observation) -> bool:
    asked = release.rollback is not None and release.rollback.at_once
    return asked or is_fault_of(cause) or fails(release, seen)


def _to_be_restored(release: Release) -> tuple[Intent, ...]:
    """A rollback depends on nothing but the Deployment itself: it writes over what drifted, and
    drift never holds it up. What admission made of a template that is back already stays: written
    again it would only be changed again."""
    return tuple(
        (
            intent
            if (
                intent.field is Field.EXISTS
                and (intent.kind, intent.name) == (Kind.DEPLOYMENT, release.target.deployment)
            )
            or _is_back_as_admitted(release, intent)
            else replace(intent, pending="restore", instead_of=None)
        )
        for intent in release.intents
        if intent.written or intent.field is Field.EXISTS
    )


def _is_back_as_admitted(release: Release, intent: Intent) -> bool:
    found = release.as_found
    drifted = {(drift.name, drift.field) for drift in release.drift}
    return (
        found is not None
        and intent.confirmed
        and (intent.name, intent.field) == (found.stable.name, Field.TEMPLATE)
        and intent.instead_of == found.stable.template
        and (intent.name, intent.field) not in drifted
    )


def _rollback_text(release: Release, cause: Cause) -> str:
    """A request was recorded with its reason when it came."""
    if cause.failure is FailureClass.REQUEST:
        return f"rolling back to {release.from_version or 'the version before'}"
    return f"rolling back: {cause.summary}"


def _theirs_left_out(release: Release, seen: Observation) -> tuple[Intent, ...]:
    """A stable Deployment that someone replaced by another of its name, or that another release
    claimed, holds nothing of ours to roll back."""
    name, found, stable = release.target.deployment, release.as_found, seen.stable
    if found is None or (
        stable is not None
        and stable.uid == found.stable.uid
        and not is_claimed_by_another(release, stable)
    ):
        return release.intents
    return drop(release.intents, Kind.DEPLOYMENT, name)


def with_roll_paused(release: Release) -> Release:
    """A pause in the middle of a roll stops the Deployment's own controller too; before and after
    it there is nothing to stop."""
    name = release.target.deployment
    template = find(release.intents, Kind.DEPLOYMENT, name, Field.TEMPLATE)
    rolling = (
        release.rollback is None
        and 0 <= release.progress.at_step < len(release.steps)
        and release.progress.gate is None
        and template is not None
        and template.written
        and any(
            isinstance(g, DeploymentGoal) and g.side is Side.STABLE and g.template is not None
            for g in release.steps[release.progress.at_step].goals
        )
    )
    if not rolling:
        return release
    old = find(release.intents, Kind.DEPLOYMENT, name, Field.PAUSED)
    paused = Intent(
        Kind.DEPLOYMENT,
        name,
        Field.PAUSED,
        False,
        True,
        written=True,
        reverts=old.reverts if old else 0,
    )
    return replace(release, intents=put(release.intents, paused))
