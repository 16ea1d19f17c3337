"""What a step still waits for, by name: a card, a reminder and a deadline say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from bot.releases.assess.handover import (
    Handover,
    handover_to_candidate,
    handover_to_stable,
    load_of,
    original_selectors,
)
from bot.releases.assess.intents import deployment_of, find
from bot.releases.assess.rollout import is_complete, pods_of
from bot.releases.engine.decision import RESYNC_MS, Decision
from bot.releases.engine.minimum import kept_words, lets_go
from bot.releases.engine.reconcile import conditions_hold, is_in_effect
from bot.releases.facts.counts import counted
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Condition, Side, Step
from bot.releases.facts.release import Release

LONGEST = 400


def name_wait(decision: Decision, step: Step, seen: Observation, now: int) -> Decision:
    """Forward, a rollout's own numbers say it already, as long as there is one."""
    release = decision.release
    is_named = (
        release.rollback is not None
        or step.waits_for_capacity
        or step.committed
        or (now - release.progress.began_at >= RESYNC_MS and _rolls_nothing(seen))
    )
    return with_wait(decision, _wait_of(release, step, seen) if is_named else "")


def _rolls_nothing(seen: Observation) -> bool:
    return all(item is None or is_complete(item) for item in (seen.stable, seen.candidate))


def without_wait(decision: Decision) -> Decision:
    return with_wait(decision, "")


def with_wait(decision: Decision, text: str) -> Decision:
    release = decision.release
    if release.progress.waits_for == text:
        return decision
    return decision.changed(replace(release, progress=replace(release.progress, waits_for=text)))


def _wait_of(release: Release, step: Step, seen: Observation) -> str:
    missing = next(
        (
            condition
            for condition in _conditions(release, step, seen)
            if not conditions_hold(release, seen, (condition,))
        ),
        None,
    )
    if missing is None:
        return kept_words(release) if any(map(lets_go, step.goals)) else ""
    return (_words(missing, release, seen) + _paused_words(missing, release, seen))[:LONGEST]


def _paused_words(condition: Condition, release: Release, seen: Observation) -> str:
    """Nothing rolls in a paused Deployment, however long it is waited for."""
    side = Side.CANDIDATE if condition.value.startswith(Side.CANDIDATE.value) else Side.STABLE
    item = deployment_of(seen, side)
    if item is None or not item.paused:
        return ""
    own = find(release.intents, Kind.DEPLOYMENT, item.name, Field.PAUSED)
    is_own = own is not None and own.after is True
    return "" if is_own else f"; {item.name} is paused, outside Pilothouse"


def _conditions(release: Release, step: Step, seen: Observation) -> Iterator[Condition]:
    """Those of the goals that are not in effect, then those of the step."""
    for goal in step.goals:
        if not is_in_effect(release, goal, seen):
            yield from goal.when
    yield from step.until


def _words(condition: Condition, release: Release, seen: Observation) -> str:
    if condition in _HANDOVERS:
        return "; ".join(_HANDOVERS[condition](release, seen).shortfalls()) or condition.value
    for side in Side:
        if condition.value.startswith(f"{side.value} "):
            return _rollout_words(condition, deployment_of(seen, side), release, seen)
    if condition is Condition.CANDIDATE_ANSWERS:
        return "the candidate has not answered the probe yet"
    return condition.value


def _rollout_words(
    condition: Condition, item: DeploymentSeen | None, release: Release, seen: Observation
) -> str:
    if item is None:
        return condition.value
    if condition is Condition.CANDIDATE_GONE:
        return _deletion_words(item)
    if condition is Condition.CANDIDATE_MATCHES_STABLE and is_complete(item) and seen.stable:
        wanted = counted(seen.stable.replicas, "pod")
        return f"{item.name} has {item.available} of the {wanted} that {seen.stable.name} runs"
    if condition is Condition.CANDIDATE_SILENT:
        return f"{item.name} still has {counted(len(pods_of(item)), 'pod')}"
    load = load_of(seen, item, release.target.services)
    old = item.status_replicas - item.updated
    leaving = f", {counted(old, 'pod')} of the other version left" if old > 0 else ""
    why = next((pod.unschedulable for pod in pods_of(item) if pod.unschedulable), "")
    return (
        f"{item.name} has {item.available} of {counted(item.replicas, 'pod')} available,"
        f" {load} serving{leaving}" + (f": {why}" if why else "")
    )


def _deletion_words(item: DeploymentSeen) -> str:
    pods = counted(len(pods_of(item)), "pod")
    if not item.terminating:
        return f"{item.name} is still there with {pods}"
    held = f", held by {', '.join(item.finalizers)}" if item.finalizers else ""
    return f"{item.name} is being deleted with {pods} left{held}"


_HANDOVERS: dict[Condition, Callable[[Release, Observation], Handover]] = {
    Condition.STABLE_TAKES_OVER: lambda release, seen: handover_to_stable(
        release, seen, original_selectors(release)
    ),
    Condition.STABLE_RESELECTED: lambda release, seen: handover_to_stable(
        release, seen, release.plan.final_selectors if release.plan else ()
    ),
    Condition.CANDIDATE_SELECTED: handover_to_candidate,
}
