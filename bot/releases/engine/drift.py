"""Drift: an outside change to a field that a release depends on. The release holds for it and
records it; the same change twice is no coincidence."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import confirm_intents, find, is_claimed_by_another, put
from bot.releases.assess.rollout import ready_endpoints
from bot.releases.engine.decision import Decision, enter_phase, not_counting
from bot.releases.engine.failures import judge_permanent_failures, leave_deserted_candidate
from bot.releases.engine.lost_writes import with_lost_writes
from bot.releases.engine.outcome import Outcome, Proceed, RollBack, Stop
from bot.releases.facts.ages import moment
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Drift, Field, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Phase, Release

MAX_FOREIGN_CHANGES = 2


def meet_outside_changes(decision: Decision, seen: Observation, now: int) -> Outcome:
    """Changes that end the release, then a candidate that nobody is served by, then changes that a
    person decides on."""
    decision = with_lost_writes(decision, seen, now)
    intents, found = confirm_intents(decision.release.intents, seen)
    confirmed = decision.changed(replace(decision.release, intents=intents))
    drift = _drift_that_counts(confirmed.release, found, seen)
    ended = _end_for_drift(confirmed, drift, seen, now)
    if not isinstance(ended, Proceed):
        return ended
    deserted = leave_deserted_candidate(confirmed, seen, now)
    if not isinstance(deserted, Proceed):
        return deserted
    if drift:
        held = judge_permanent_failures(_hold_for_drift(confirmed, drift, now), seen, now)
        return Stop(held.decision) if isinstance(held, Proceed) else held
    if confirmed.release.phase is not Phase.DRIFTED:
        return Proceed(confirmed)
    resumed = confirmed.changed(after_drift(confirmed.release, now))
    return Proceed(resumed.record(now, EventKind.DRIFT_ENDED, "as intended again; continuing"))


def _drift_that_counts(
    release: Release, drift: tuple[Drift, ...], seen: Observation
) -> tuple[Drift, ...]:
    """A stable that is gone leaves a rollback nothing to hold for, and a release nothing else."""
    name = release.target.deployment
    if release.rollback is not None and (seen.stable is None or was_replaced(release, seen)):
        return tuple(d for d in drift if (d.kind, d.name) != (Kind.DEPLOYMENT, name))
    if seen.stable is None:
        return (Drift(name, Kind.DEPLOYMENT, Field.EXISTS, "present", "deleted", ""),)
    return _with_foreign_claim(release, drift, seen.stable)


def _with_foreign_claim(
    release: Release, drift: tuple[Drift, ...], stable: DeploymentSeen
) -> tuple[Drift, ...]:
    """Another release's claim holds this one before it has written its own, too."""
    known = any((d.name, d.field) == (stable.name, Field.CLAIM) for d in drift)
    if known or release.rollback is not None or not is_claimed_by_another(release, stable):
        return drift
    claim = Drift(stable.name, Kind.DEPLOYMENT, Field.CLAIM, "no other claim", stable.claim, "")
    return (*drift, claim)


def _end_for_drift(
    decision: Decision, drift: tuple[Drift, ...], seen: Observation, now: int
) -> Outcome:
    if not drift or decision.release.rollback is not None:
        return Proceed(decision)
    release = _with_counted_changes(decision.release, drift)
    may_end = seen.stable is not None and not release.only_a_person_rolls_back
    if may_end and _is_repeated(release, drift):
        summary = f"something else keeps changing it: {_described(drift)}"
    elif _took_away_what_serves(release, drift, seen):
        summary = f"what served was taken away: {_described(drift)}"
    else:
        return Proceed(decision)
    cause = Cause(FailureClass.DRIFT, summary[:600])
    recorded = decision.changed(release).record(now, EventKind.FAILURE, cause.summary)
    return RollBack(recorded, cause, Phase.ABORTED)


def _hold_for_drift(decision: Decision, drift: tuple[Drift, ...], now: int) -> Decision:
    release = _with_counted_changes(decision.release, drift)
    if release.phase is Phase.DRIFTED:
        return decision.changed(replace(release, drift=drift))
    waited = now - release.phase_since if release.phase is Phase.PAUSED else 0
    release = replace(
        release,
        drift=drift,
        drifted_from=release.phase,
        progress=not_counting(release.progress, waited),
    )
    decision = decision.changed(enter_phase(release, Phase.DRIFTED, now))
    text = f"changed outside this release; holding: {_described(drift)}"
    return decision.record(now, EventKind.DRIFTED, text[:900])


def _with_counted_changes(release: Release, drift: tuple[Drift, ...]) -> Release:
    """Each change that was not there at the last observation counts once."""
    intents = release.intents
    for kind, name, field in sorted(_fields_of(drift) - _fields_of(release.drift)):
        intent = find(intents, kind, name, field)
        if intent is not None:
            intents = put(intents, replace(intent, reverts=intent.reverts + 1, confirmed=True))
    return replace(release, intents=intents)


def _is_repeated(release: Release, drift: tuple[Drift, ...]) -> bool:
    drifted = _fields_of(drift)
    return any(
        intent.reverts >= MAX_FOREIGN_CHANGES
        for intent in release.intents
        if (intent.kind, intent.name, intent.field) in drifted
    )


def _fields_of(drift: tuple[Drift, ...]) -> set[tuple[Kind, str, Field]]:
    return {(d.kind, d.name, d.field) for d in drift}


def _described(drift: tuple[Drift, ...]) -> str:
    return "; ".join(
        f"{d.kind} {d.name}, {d.field.value}: intended {d.intended}, is {d.observed}"
        + (f" (by {d.manager}{_at(d)})" if d.manager else "")
        for d in drift
    )


def _at(drift: Drift) -> str:
    return f", {moment(drift.at)}" if drift.at else ""


def was_replaced(release: Release, seen: Observation) -> bool:
    return (
        seen.stable is not None
        and release.as_found is not None
        and seen.stable.uid != release.as_found.stable.uid
    )


def after_drift(release: Release, now: int) -> Release:
    """Where it was before, be that a pause; the time in between does not count against
    deadlines."""
    since = now - release.phase_since
    back = replace(
        release, drift=(), drifted_from=None, progress=not_counting(release.progress, since)
    )
    return enter_phase(back, release.drifted_from or Phase.PROGRESSING, now)


def _took_away_what_serves(release: Release, drift: tuple[Drift, ...], seen: Observation) -> bool:
    """Someone deleted or emptied the candidate while a Service has no other endpoint: there is no
    hold for that, stable serves at once."""
    if release.plan is None or release.plan.candidate_selector is None:
        return False
    if not any(d.kind is Kind.DEPLOYMENT and d.name == release.candidate_name for d in drift):
        return False
    return not all(
        ready_endpoints(seen, seen.stable, (name,))
        or ready_endpoints(seen, seen.candidate, (name,))
        for name in release.target.services
    )
