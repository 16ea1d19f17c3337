"""A paused release writes only what the pause itself needs, and one safety action."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import find, is_claimed_by_another, set_fields
from bot.releases.assess.pod_failures import cause_of
from bot.releases.engine.decision import Decision
from bot.releases.engine.failures import assess_candidate, judge_permanent_failures
from bot.releases.engine.outcome import Outcome, Proceed, Stop
from bot.releases.facts.actions import PatchDeployment
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Phase, Release


def stay_paused(decision: Decision, seen: Observation, now: int) -> Outcome:
    if decision.release.phase is not Phase.PAUSED:
        return Proceed(decision)
    judged = judge_permanent_failures(decision, seen, now)
    if not isinstance(judged, Proceed):
        return judged
    decision = judged.decision
    if seen.stable is not None and _roll_is_to_stop(decision.release, seen.stable):
        return Stop(_set(decision, seen.stable, Field.PAUSED, True))
    return Stop(_stop_failed_candidate(decision, seen, now))


def _roll_is_to_stop(release: Release, stable: DeploymentSeen) -> bool:
    pause = find(release.intents, Kind.DEPLOYMENT, release.target.deployment, Field.PAUSED)
    return pause is not None and pause.after is True and not pause.confirmed and not stable.paused


def _stop_failed_candidate(decision: Decision, seen: Observation, now: int) -> Decision:
    """The safety action: a candidate that shares stable's traffic and failed goes to 0."""
    release = decision.release
    if (
        release.plan is None
        or not release.plan.failed_candidate_to_zero
        or seen.candidate is None
        or release.rollback is not None
    ):
        return decision
    found = assess_candidate(release, seen, now)
    decision = decision.wake(found.next_ripe_at)
    failed = found.permanent or (found.persistent if found.all_failed else ())
    if not failed or not seen.candidate.replicas:
        return decision
    cause = release.cause or cause_of(failed, len(failed))
    decision = decision.changed(replace(release, cause=cause))
    decision = _set(decision, seen.candidate, Field.REPLICAS, 0)
    return decision.record(now, EventKind.FAILURE, cause.summary, evidence=cause.evidence)


def _set(decision: Decision, item: DeploymentSeen, field: Field, to: object) -> Decision:
    release = decision.release
    if is_claimed_by_another(release, item):
        return decision
    settled = set_fields(release.intents, Kind.DEPLOYMENT, item, {field: to})
    decision = decision.changed(replace(release, intents=settled.intents))
    return decision.doing(PatchDeployment(item.name, item.uid, item.claim, settled.changes))
