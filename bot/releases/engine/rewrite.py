"""The release's values again, where a person asked for that after drift: under the conditions of
the goals that set them, a few times, and within the step's deadline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.releases.assess.intents import (
    find,
    is_claimed_by_another,
    is_our_service,
    put,
    rewrites,
    service_named,
)
from bot.releases.assess.rollout import ready_endpoints
from bot.releases.assess.selectors import selected_ready
from bot.releases.engine.deadlines import watch_deadline
from bot.releases.engine.decision import Decision
from bot.releases.engine.outcome import Outcome, Proceed, RollBack, Stop
from bot.releases.engine.reconcile import conditions_hold
from bot.releases.engine.waiting import with_wait
from bot.releases.facts.actions import FieldChange, PatchDeployment, PatchService
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.plan import Condition, DeploymentGoal, Goal, ServiceGoal, Side
from bot.releases.facts.release import Phase, Release

_OF_CANDIDATE = frozenset({Condition.CANDIDATE_COMPLETE, Condition.CANDIDATE_LISTED})
"""They hold back a first write. Once the candidate is gone, a stable that someone paused since
would wait for them for ever."""
MAX_REWRITES = 5
"""Of one field. A value that does not stay after that is kept by something else."""


def rewrite_drifted(decision: Decision, seen: Observation, now: int) -> Outcome:
    """Stop while a value is still to be written, also where its condition does not hold yet."""
    release = decision.release
    waiting = False
    for item in _items(seen):
        kind = Kind.SERVICE if isinstance(item, ServiceSeen) else Kind.DEPLOYMENT
        changes = rewrites(decision.release.intents, item)
        if not changes:
            continue
        waiting = True
        if worn := _used_up(decision.release, kind, item.name, changes):
            return _give_up(decision, item.name, worn, now)
        allowed = tuple(c for c in changes if _may_write(release, item, c, seen))
        if allowed:
            decision = _write(decision, kind, item, allowed)
        else:
            fields = ", ".join(change.field.value for change in changes)
            text = f"{item.name}: {fields} cannot be written again yet"
            decision = with_wait(decision, text)
    return _wait(decision, seen, now) if waiting else Proceed(decision)


def _items(seen: Observation) -> Iterator[DeploymentSeen | ServiceSeen]:
    yield from (item for item in (seen.stable, seen.candidate) if item is not None)
    yield from seen.services


def _write(
    decision: Decision,
    kind: Kind,
    item: DeploymentSeen | ServiceSeen,
    changes: tuple[FieldChange, ...],
) -> Decision:
    intents = decision.release.intents
    for change in changes:
        intent = find(intents, kind, item.name, change.field)
        if intent is not None:
            intents = put(intents, replace(intent, rewritten=intent.rewritten + 1))
    decision = decision.changed(replace(decision.release, intents=intents))
    if isinstance(item, ServiceSeen):
        return decision.doing(PatchService(item.name, item.uid, item.resource_version, changes))
    return decision.doing(PatchDeployment(item.name, item.uid, item.claim, changes))


def _wait(decision: Decision, seen: Observation, now: int) -> Outcome:
    """The deadline of the step keeps running; a gate or a pause has its own time."""
    release, step = decision.release, decision.release.current_step
    if step is None or release.progress.gate is not None or release.phase is not Phase.PROGRESSING:
        return Stop(decision)
    return watch_deadline(decision, step, seen, now)


def _used_up(
    release: Release, kind: Kind, name: str, changes: tuple[FieldChange, ...]
) -> Intent | None:
    found = (find(release.intents, kind, name, change.field) for change in changes)
    return next((i for i in found if i is not None and i.rewritten >= MAX_REWRITES), None)


def _give_up(decision: Decision, name: str, intent: Intent, now: int) -> Outcome:
    cause = Cause(
        FailureClass.DRIFT,
        f"something else keeps changing it: {intent.kind} {name}, {intent.field.value} was written"
        f" {intent.rewritten} times and did not stay",
    )
    recorded = decision.record(now, EventKind.FAILURE, cause.summary)
    return RollBack(recorded, cause, Phase.ABORTED)


def _may_write(
    release: Release, item: DeploymentSeen | ServiceSeen, change: FieldChange, seen: Observation
) -> bool:
    if isinstance(item, DeploymentSeen):
        goal = _goal_that_set(release, item, change.field, seen)
        waits_for = goal.when if goal is not None else ()
        if change.field is Field.PAUSED and seen.candidate is None:
            waits_for = tuple(one for one in waits_for if one not in _OF_CANDIDATE)
        return not is_claimed_by_another(release, item) and conditions_hold(
            release, seen, waits_for
        )
    made = release.plan is not None and item.name == release.plan.preview
    if made and not is_our_service(release, item):
        return False
    if change.field is not Field.SELECTOR:
        return True
    goal = _goal_that_set(release, item, change.field, seen)
    if goal is not None and goal.when:
        return conditions_hold(release, seen, _of_pods(goal.when))
    return _leaves_endpoints(item, change.after, seen)


def _of_pods(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """A probe is asked only of candidates before a first switch, so it is not asked for again."""
    return tuple(one for one in conditions if one is not Condition.CANDIDATE_ANSWERS)


def _leaves_endpoints(service: ServiceSeen, selector: dict[str, str], seen: Observation) -> bool:
    """A selector as found, which no goal sets: never onto nothing while something serves."""
    pair = (seen.stable, seen.candidate)
    served = any(ready_endpoints(seen, one, (service.name,)) for one in pair)
    return not served or any(selected_ready(selector, one) for one in pair)


def _goal_that_set(
    release: Release, item: DeploymentSeen | ServiceSeen, field: Field, seen: Observation
) -> Goal | None:
    """The last goal of the steps so far that sets the field."""
    kind = Kind.SERVICE if isinstance(item, ServiceSeen) else Kind.DEPLOYMENT
    wanted = find(release.intents, kind, item.name, field)
    goals = [goal for step in release.steps[: release.progress.at_step + 1] for goal in step.goals]
    return next((goal for goal in reversed(goals) if _sets(goal, item, field, wanted, seen)), None)


def _sets(
    goal: Goal,
    item: DeploymentSeen | ServiceSeen,
    field: Field,
    wanted: Intent | None,
    seen: Observation,
) -> bool:
    match goal:
        case ServiceGoal(name=name, selector=selector):
            is_it = service_named(seen, name) is item and isinstance(item, ServiceSeen)
            return (
                is_it
                and field is Field.SELECTOR
                and wanted is not None
                and (selector == wanted.after)
            )
        case DeploymentGoal(side=side):
            is_it = item is (seen.stable if side is Side.STABLE else seen.candidate)
            sets = {
                Field.TEMPLATE: goal.template,
                Field.REPLICAS: goal.replicas,
                Field.PAUSED: goal.paused,
            }
            return is_it and sets.get(field) is not None
        case _:
            return False
