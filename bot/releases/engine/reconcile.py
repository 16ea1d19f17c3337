"""From the goals of a step to the actions they still need: in order, one write at a time, each only
when its time has come."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.conditions import condition_holds
from bot.releases.assess.intents import (
    deployment_of,
    drop,
    find,
    is_claimed_by_another,
    is_our_service,
    is_ours,
    put,
    service_named,
    set_fields,
    wanted_fields,
)
from bot.releases.assess.rollout import ready_endpoints
from bot.releases.engine.capacity import raise_to_carry
from bot.releases.engine.decision import Decision
from bot.releases.engine.minimum import give_back_minimum, lets_go
from bot.releases.engine.outcome import Outcome, Proceed, Stop
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.plan import (
    AbsentGoal,
    Condition,
    DeploymentGoal,
    Goal,
    ServiceGoal,
    Side,
)
from bot.releases.facts.release import Release

_OF_STABLE = frozenset(
    {
        Condition.STABLE_COMPLETE,
        Condition.STABLE_SCALED,
        Condition.STABLE_BACK,
        Condition.STABLE_SELECTED,
        Condition.SERVED_BY_STABLE,
        Condition.STABLE_SERVES,
        Condition.STABLE_RESELECTED,
        Condition.STABLE_TAKES_OVER,
    }
)
_OF_ENDPOINTS = frozenset(
    {
        Condition.SERVED_BY_CANDIDATE,
        Condition.SERVED_BY_STABLE,
        Condition.CANDIDATE_SERVES,
        Condition.STABLE_SERVES,
        Condition.CANDIDATE_LISTED,
    }
)


def conditions_hold(release: Release, seen: Observation, conditions: tuple[Condition, ...]) -> bool:
    """During rollback, conditions about a Service or stable Deployment that was deleted are
    skipped."""
    services = release.target.services
    if release.rollback is not None:
        there = {service.name for service in seen.services}
        left = tuple(name for name in services if name in there)
        if services and not left:
            conditions = tuple(
                condition for condition in conditions if condition not in _OF_ENDPOINTS
            )
        services = left
        if seen.stable is None and not ready_endpoints(seen, seen.candidate, services):
            conditions = tuple(condition for condition in conditions if condition not in _OF_STABLE)
    return all(condition_holds(condition, release, seen, services) for condition in conditions)


def reconcile(decision: Decision, goals: tuple[Goal, ...], seen: Observation, now: int) -> Outcome:
    """Emit what the goals still need. Proceed: all are in effect and nothing is written.

    Later goals wait for a goal whose `when` is unmet or that needed a write. A claim alone does not
    block them: nothing in the cluster depends on it.
    """
    wrote = False
    for goal in goals:
        if not conditions_hold(decision.release, seen, goal.when) and not is_in_effect(
            decision.release, goal, seen
        ):
            return Stop(decision)
        if lets_go(goal):
            given = give_back_minimum(decision, seen, now)
            if not isinstance(given, Proceed):
                return given
            decision = given.decision
        before = len(decision.actions)
        decision = _reconcile_goal(decision, goal, seen)
        made = decision.actions[before:]
        wrote = wrote or bool(made)
        if not all(_only_claims(action) for action in made):
            return Stop(decision)
    return Stop(decision) if wrote else Proceed(decision)


def _only_claims(action: Action) -> bool:
    return isinstance(action, PatchDeployment) and all(
        change.field is Field.CLAIM and change.after for change in action.changes
    )


def is_in_effect(release: Release, goal: Goal, seen: Observation) -> bool:
    """A goal already in effect does not wait for its condition again."""
    if isinstance(goal, DeploymentGoal):
        item = deployment_of(seen, goal.side)
        if item is None:
            return False
        wanted = wanted_fields(goal, seen, release)
        return (
            is_claimed_by_another(release, item)
            or not set_fields(release.intents, Kind.DEPLOYMENT, item, wanted).changes
        )
    if isinstance(goal, ServiceGoal):
        service = service_named(seen, goal.name)
        return (
            service is not None
            and not set_fields(
                release.intents, Kind.SERVICE, service, _service_fields(goal)
            ).changes
        )
    return _is_removed(release, goal, seen)


def _is_removed(release: Release, goal: AbsentGoal, seen: Observation) -> bool:
    """By this release, when the goal's conditions held; an absence of another origin says nothing
    about them."""
    kind = Kind(goal.object)
    removed = find(release.intents, kind, goal.name, Field.EXISTS)
    if removed is None or removed.after is not False:
        return False
    if kind is Kind.SERVICE:
        return service_named(seen, goal.name) is None
    return seen.candidate is None or seen.candidate.name != goal.name


def _service_fields(goal: ServiceGoal) -> dict[Field, object]:
    fields: dict[Field, object] = {}
    if goal.selector is not None:
        fields[Field.SELECTOR] = goal.selector
    if goal.affinity is not None:
        fields[Field.AFFINITY] = goal.affinity
    return fields


def _reconcile_goal(decision: Decision, goal: Goal, seen: Observation) -> Decision:
    match goal:
        case DeploymentGoal():
            item = deployment_of(seen, goal.side)
            if item is None:
                return _create_deployment(decision, goal)
            if is_claimed_by_another(decision.release, item):
                return decision
            if goal.carries_load:
                return raise_to_carry(decision, goal, item, seen)
            return _patch_deployment(decision, goal, item, seen)
        case ServiceGoal():
            return _reconcile_service(decision, goal, seen)
        case AbsentGoal():
            return _remove(decision, goal, seen)


def _create_deployment(decision: Decision, goal: DeploymentGoal) -> Decision:
    if goal.create_from is None:
        return decision
    release = decision.release
    is_candidate = goal.side is Side.CANDIDATE
    name = release.candidate_name if is_candidate else release.target.deployment
    made = Intent(Kind.DEPLOYMENT, name, Field.EXISTS, "", True, written=True)
    intents = put(drop(release.intents, Kind.DEPLOYMENT, name), made)
    return decision.changed(replace(release, intents=intents)).doing(
        CreateDeployment(name, release.id, goal.create_from)
    )


def _patch_deployment(
    decision: Decision, goal: DeploymentGoal, item: DeploymentSeen, seen: Observation
) -> Decision:
    release = decision.release
    wanted = wanted_fields(goal, seen, release)
    settled = set_fields(release.intents, Kind.DEPLOYMENT, item, wanted)
    intents = settled.intents
    if goal.side is Side.CANDIDATE:
        intents = _with_template_as_made(intents, item)
    decision = decision.changed(replace(release, intents=intents))
    if not settled.changes:
        return decision
    claims = any(change.field is Field.CLAIM and change.after for change in settled.changes)
    version = item.resource_version if claims else ""
    return decision.doing(
        PatchDeployment(item.name, item.uid, item.claim, settled.changes, version)
    )


def _with_template_as_made(
    intents: tuple[Intent, ...], candidate: DeploymentSeen
) -> tuple[Intent, ...]:
    """The release is judged by what the API server made of the body; any other template later is
    drift."""
    name, template = candidate.name, candidate.template
    if find(intents, Kind.DEPLOYMENT, name, Field.TEMPLATE) is not None:
        return intents
    made = Intent(Kind.DEPLOYMENT, name, Field.TEMPLATE, template, template, confirmed=True)
    return put(intents, made)


def _reconcile_service(decision: Decision, goal: ServiceGoal, seen: Observation) -> Decision:
    release = decision.release
    service = service_named(seen, goal.name)
    if service is None:
        if goal.create_from is None:
            return decision
        return decision.doing(CreateService(goal.name, release.id, goal.create_from))
    settled = set_fields(release.intents, Kind.SERVICE, service, _service_fields(goal))
    decision = decision.changed(replace(release, intents=settled.intents))
    if not settled.changes:
        return decision
    return decision.doing(
        PatchService(service.name, service.uid, service.resource_version, settled.changes)
    )


def _remove(decision: Decision, goal: AbsentGoal, seen: Observation) -> Decision:
    release, kind = decision.release, Kind(goal.object)
    made = find(release.intents, kind, goal.name, Field.EXISTS)
    service = service_named(seen, goal.name) if kind is Kind.SERVICE else None
    if service is not None and not _is_service_to_remove(release, service, made):
        return decision
    item = seen.candidate if kind is Kind.DEPLOYMENT else None
    if item is not None and (item.name != goal.name or not is_ours(release, item)):
        item = None
    # Kept until the object is gone: where the delete did not arrive, its uid alone may say whose
    # it is.
    present = item or service
    uid = present.uid if present is not None else made.before if made is not None else ""
    absent = Intent(kind, goal.name, Field.EXISTS, uid, False, written=True)
    intents = put(drop(release.intents, kind, goal.name), absent)
    decision = decision.changed(replace(release, intents=intents))
    if kind is Kind.SERVICE:
        return decision.doing(DeleteService(service.name, service.uid)) if service else decision
    if item is None or item.terminating:
        return decision
    return decision.doing(DeleteDeployment(item.name, item.uid))


def _is_service_to_remove(release: Release, service: ServiceSeen, made: Intent | None) -> bool:
    """Once its removal was decided, the very Service that was meant, and no later one."""
    if made is not None and made.after is False and made.before:
        return bool(service.uid == made.before)
    return is_our_service(release, service)
