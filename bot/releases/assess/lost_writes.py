"""Writes of this release that its record does not know: Redis may lose its last second, the cluster
does not. What carries our claim and our field manager is no outside change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bot.releases.assess.intents import (
    CAUSE_ANNOTATION,
    FIELD_MANAGER,
    field_value,
    find,
    is_written_by_us,
    item_of,
    put,
)
from bot.releases.facts.changes import Deploy, Restart, Undo
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import CLAIM_ANNOTATION, DeploymentSeen, Observation
from bot.releases.facts.plan import DeploymentGoal
from bot.releases.facts.release import Release
from bot.releases.facts.target import Strategy

SAME_SECOND_MS = 1_000
"""managedFields state whole seconds."""
_ROLLED = (Deploy, Restart, Undo)


@dataclass(frozen=True)
class Recovered:
    """``fields``: "hello, template" for each that the record had lost."""

    release: Release
    fields: tuple[str, ...] = ()


def before_own_writes(release: Release, seen: Observation) -> Observation:
    """What the release found, where Redis lost the plan and the cluster has its first writes: a
    roll writes the template with the claim, other strategies make a candidate."""
    stable, candidate = seen.stable, seen.candidate
    if stable is None or not has_own_writes(release, seen):
        return seen
    annotations = {
        key: value for key, value in stable.annotations.items() if key != CLAIM_ANNOTATION
    }
    before = replace(stable, annotations=annotations)
    if release.strategy is Strategy.ROLLING and isinstance(release.change, _ROLLED):
        before = _before_roll(before)
    survey = seen.survey
    if survey is not None:
        others = tuple(one for one in survey.leftovers if one.claim != release.id)
        survey = replace(survey, leftovers=others)
    is_own = candidate is not None and candidate.claim == release.id
    return replace(seen, stable=before, candidate=None if is_own else candidate, survey=survey)


def has_own_writes(release: Release, seen: Observation) -> bool:
    """Whatever its record knows: stable carries the claim of this release."""
    stable = seen.stable
    if stable is None or stable.claim != release.id:
        return False
    # what a plan was made of had no such claim
    return release.plan is not None or _wrote_since_created(release, stable)


def _wrote_since_created(release: Release, stable: DeploymentSeen) -> bool:
    """A claim of the same number may be older than the release: of a Redis that lost everything."""
    times = [at for manager, _, at in stable.written_at if manager == FIELD_MANAGER]
    created_at = release.in_cluster_time(release.created_at)
    return bool(times) and max(times) >= created_at - SAME_SECOND_MS


def _before_roll(stable: DeploymentSeen) -> DeploymentSeen:
    """The template that ran before is the newest of the other ReplicaSets; that it was complete is
    assumed, as the lost plan knew it."""
    earlier = next((one for one in stable.replica_sets if one.template != stable.template), None)
    if earlier is None:
        return stable
    causes = {CAUSE_ANNOTATION: earlier.change_cause} if earlier.change_cause else {}
    others = {key: value for key, value in stable.annotations.items() if key != CAUSE_ANNOTATION}
    pods = stable.replicas
    return replace(
        stable,
        template=earlier.template,
        annotations=others | causes,
        replica_sets=tuple(one for one in stable.replica_sets if one.template != stable.template),
        observed_generation=stable.generation,
        status_replicas=pods,
        updated=pods,
        ready=pods,
        available=pods,
    )


_OTHERWISE = (Field.EXISTS, Field.CLAIM, Field.CHANGE_CAUSE)


def recover_lost_writes(release: Release, seen: Observation) -> Recovered:
    """Only while stable carries the release's own claim: then nobody else writes as we do."""
    stable = seen.stable
    if stable is None or stable.claim != release.id or release.as_found is None:
        return Recovered(release)
    intents, fields = release.intents, []
    for intent in (*_claim_and_cause(release, stable), *_candidate(release, seen)):
        intents = put(intents, intent)
        fields.append(f"{intent.name}, {intent.field.value}")
    for intent in intents:
        lost = _lost(release, intent, seen)
        if lost is not None:
            intents = put(intents, lost)
            fields.append(f"{intent.name}, {intent.field.value}")
    return Recovered(replace(release, intents=intents), tuple(fields))


def _lost(release: Release, intent: Intent, seen: Observation) -> Intent | None:
    if intent.field in _OTHERWISE or intent.pending or not intent.confirmed:
        return None
    item = item_of(seen, intent)
    if item is None:
        return None
    observed = field_value(item, intent.field)
    if observed == intent.after or not is_written_by_us(item, intent.field, intent.after, observed):
        return None
    if intent.field is Field.TEMPLATE and observed not in _planned_templates(release):
        return None
    return replace(intent, after=observed, written=True)


def _planned_templates(release: Release) -> list[Any]:
    forward = release.plan.steps if release.plan is not None else ()
    back = release.rollback.steps if release.rollback is not None else ()
    return [
        goal.template
        for step in (*forward, *back)
        for goal in step.goals
        if isinstance(goal, DeploymentGoal) and goal.template is not None
    ]


def _claim_and_cause(release: Release, stable: DeploymentSeen) -> tuple[Intent, ...]:
    if find(release.intents, Kind.DEPLOYMENT, stable.name, Field.CLAIM) is not None:
        return ()
    found = release.as_found
    before = found.stable.annotations.get(CAUSE_ANNOTATION, "") if found else ""
    values = (
        (Field.CLAIM, "", release.id),
        (Field.CHANGE_CAUSE, before, field_value(stable, Field.CHANGE_CAUSE)),
    )
    return tuple(
        Intent(Kind.DEPLOYMENT, stable.name, field, old, new, confirmed=True, written=True)
        for field, old, new in values
        if old != new
    )


def _candidate(release: Release, seen: Observation) -> tuple[Intent, ...]:
    candidate, found = seen.candidate, release.as_found
    if candidate is None or candidate.claim != release.id or candidate.terminating:
        return ()
    if find(release.intents, Kind.DEPLOYMENT, candidate.name, Field.EXISTS) is not None:
        return ()
    if found is not None and found.candidate is not None and found.candidate.uid == candidate.uid:
        return ()
    made = (Kind.DEPLOYMENT, candidate.name, Field.EXISTS, candidate.uid, True)
    return (Intent(*made, confirmed=True, written=True),)
