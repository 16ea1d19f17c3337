"""The as-found snapshot, and what follows from it: intents, its hash, the goals that restore it."""

from __future__ import annotations

import hashlib
import json

from bot.releases.assess.intents import CAUSE_ANNOTATION, was_written
from bot.releases.assess.pairs import beside
from bot.releases.facts.as_found import AsFound, DeploymentAsFound, ServiceAsFound
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.plan import DeploymentGoal, Plan, Side
from bot.releases.facts.release import Release
from bot.releases.planning.refusals import PlanRefused

_OWN_ANNOTATIONS = ("pilothouse.dev/", "deployment.kubernetes.io/revision")


def foreign_annotations(annotations: dict[str, str]) -> dict[str, str]:
    return {
        key: value for key, value in annotations.items() if not key.startswith(_OWN_ANNOTATIONS)
    }


def deployment_as_found(seen: DeploymentSeen) -> DeploymentAsFound:
    revision = seen.annotations.get("deployment.kubernetes.io/revision", "0")
    return DeploymentAsFound(
        seen.name,
        seen.uid,
        seen.template,
        seen.replicas,
        seen.paused,
        seen.selector,
        seen.strategy,
        dict(seen.labels),
        foreign_annotations(seen.annotations),
        int(revision) if revision.isdigit() else 0,
        seen.min_ready_seconds,
        seen.progress_deadline_seconds,
        seen.available,
        tuple(one.uid for one in seen.replica_sets if one.replicas),
    )


def service_as_found(seen: ServiceSeen) -> ServiceAsFound:
    return ServiceAsFound(seen.name, seen.uid, dict(seen.selector), seen.affinity)


def seed_intents(release: Release, plan: Plan, seen: Observation) -> tuple[Intent, ...]:
    """The fields that the release depends on, as found: any other value later is drift.

    Replicas are among them only where no autoscaler moves them.
    """
    stable = seen.stable
    if stable is None:
        return ()
    depends = [
        (Field.TEMPLATE, stable.template),
        (Field.PAUSED, stable.paused),
        (Field.STRATEGY, stable.strategy),
        (Field.SELECTOR, stable.selector),
    ]
    if not plan.has_autoscaler:
        depends.append((Field.REPLICAS, stable.replicas))
    intents = [Intent(Kind.DEPLOYMENT, stable.name, Field.EXISTS, stable.uid, True, confirmed=True)]
    intents += [
        Intent(Kind.DEPLOYMENT, stable.name, field, value, value, confirmed=True)
        for field, value in depends
    ]
    for service in seen.services:
        if service.name not in release.target.services:
            continue
        intents.append(
            Intent(Kind.SERVICE, service.name, Field.EXISTS, service.uid, True, confirmed=True)
        )
        selector = dict(service.selector)
        intents.append(
            Intent(Kind.SERVICE, service.name, Field.SELECTOR, selector, selector, confirmed=True)
        )
        intents.append(
            Intent(
                Kind.SERVICE,
                service.name,
                Field.AFFINITY,
                service.affinity,
                service.affinity,
                confirmed=True,
            )
        )
    return tuple(intents)


def as_found_of(release: Release, plan: Plan, seen: Observation, now: int) -> AsFound:
    if seen.stable is None:
        raise PlanRefused(f"There is no Deployment `{release.target.deployment}`.")
    existing = beside(seen, plan.candidate)
    candidate = deployment_as_found(existing) if existing is not None else None
    services = tuple(
        service_as_found(s) for s in seen.services if s.name in release.target.services
    )
    return AsFound(seen.cluster_uid, now, deployment_as_found(seen.stable), services, candidate)


def as_found_hash(found: AsFound) -> str:
    """Twelve hex digits that name what a plan was made for: uid, template, replicas, selectors."""
    facts = [
        found.stable.uid,
        found.stable.template,
        found.stable.replicas,
        [(s.uid, s.selector) for s in found.services],
        (
            [found.candidate.uid, found.candidate.template, found.candidate.replicas]
            if found.candidate
            else None
        ),
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def rollback_basis(release: Release) -> tuple[AsFound, Plan] | None:
    """What a rollback starts from; None where the release wrote nothing."""
    found, plan = release.as_found, release.plan
    if found is None or plan is None or not release.has_written:
        return None
    return found, plan


def restored(release: Release, side: Side, found: DeploymentAsFound) -> DeploymentGoal:
    """Every field of the Deployment that the release wrote, back to what it was, in one patch."""

    def written(field: Field) -> bool:
        return was_written(release.intents, Kind.DEPLOYMENT, found.name, field)

    cause = found.annotations.get(CAUSE_ANNOTATION, "")
    return DeploymentGoal(
        side,
        template=found.template if written(Field.TEMPLATE) else None,
        paused=found.paused if written(Field.PAUSED) else None,
        change_cause=cause if written(Field.CHANGE_CAUSE) else None,
        replicas=found.replicas if written(Field.REPLICAS) else None,
    )
