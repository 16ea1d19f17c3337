"""Drift: what somebody else changed of what a release depends on. Held for and told; twice the same
is no coincidence."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import find, put
from bot.releases.assess.rollout import ready_endpoints
from bot.releases.engine.decision import Decision, enter_phase, not_counting
from bot.releases.engine.transitions import roll_back
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Drift, Field, Kind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release

MAX_FOREIGN_CHANGES = 2


def handle_drift(
    decision: Decision, drift: tuple[Drift, ...], seen: Observation, now: int
) -> Decision | None:
    release = decision.release
    if release.rollback is not None and (seen.stable is None or was_replaced(release, seen)):
        drift = tuple(
            d for d in drift if (d.kind, d.name) != (Kind.DEPLOYMENT, release.target.deployment)
        )
    elif seen.stable is None:
        drift = (
            Drift(
                release.target.deployment, Kind.DEPLOYMENT, Field.EXISTS, "present", "deleted", ""
            ),
        )
    if not drift:
        return None
    intents = release.intents
    news = {(d.kind, d.name, d.field) for d in drift} - {
        (d.kind, d.name, d.field) for d in release.drift
    }
    for kind, name, field in sorted(news):
        intent = find(intents, kind, name, field)
        if intent is not None:
            intents = put(intents, replace(intent, reverts=intent.reverts + 1, confirmed=True))
    release = replace(release, intents=intents)
    told = "; ".join(
        f"{d.kind} {d.name}, {d.field.value}: intended {d.intended}, is {d.observed}"
        + (f" (by {d.manager})" if d.manager else "")
        for d in drift
    )
    drifted = {(d.kind, d.name, d.field) for d in drift}
    worst = max((i.reverts for i in intents if (i.kind, i.name, i.field) in drifted), default=0)
    gone = any(d.field is Field.EXISTS for d in drift) and seen.stable is None
    if worst >= MAX_FOREIGN_CHANGES and release.rollback is None and not gone:
        cause = Cause(FailureClass.DRIFT, f"somebody else keeps changing it: {told}"[:600])
        decision = decision.changed(release).record(now, EventKind.FAILURE, cause.summary)
        return roll_back(decision, seen, now, ends_as=Phase.ABORTED, cause=cause)
    if release.rollback is None and _took_away_what_serves(release, drift, seen):
        cause = Cause(FailureClass.DRIFT, f"what served was taken away: {told}"[:600])
        decision = decision.changed(release).record(now, EventKind.FAILURE, cause.summary)
        return roll_back(decision, seen, now, ends_as=Phase.ABORTED, cause=cause)
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
    return decision.record(
        now, EventKind.DRIFTED, f"changed past the release, holding: {told}"[:900]
    )


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
    """Somebody deleted or emptied the candidate while a Service has nobody else: that is not held
    for, stable serves at once."""
    if release.plan is None or release.plan.candidate_selector is None:
        return False
    if not any(d.kind is Kind.DEPLOYMENT and d.name == release.candidate_name for d in drift):
        return False
    return not all(
        ready_endpoints(seen, seen.stable, (name,))
        or ready_endpoints(seen, seen.candidate, (name,))
        for name in release.target.services
    )
