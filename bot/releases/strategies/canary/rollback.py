"""A canary's rollback: the candidates leave first, so nobody meets them whatever they do."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.handover import accepts_less, load_to_carry
from bot.releases.assess.intents import is_ours, was_written
from bot.releases.assess.rollout import ready_pods
from bot.releases.assess.selectors import serves_alone
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import (
    LET_GO,
    AbsentGoal,
    Condition,
    DeploymentGoal,
    Goal,
    Plan,
    ServiceGoal,
    Side,
    Step,
)
from bot.releases.facts.release import Release
from bot.releases.planning.as_found import restored, rollback_basis
from bot.releases.planning.candidate import body_in_plan
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS
from bot.releases.strategies.canary.steps import CANDIDATES_SERVE

STABLE_SERVES = (Condition.STABLE_BACK, Condition.STABLE_SERVES)


def rollback_steps(release: Release, seen: Observation) -> tuple[Step, ...]:
    """Candidates out at once, stable and the Services as found, then no candidate Deployment.

    Where stable may lose all its ready pods as it rolls back, or has none, the candidates serve
    until it is whole: the release itself must not empty the Services.
    """
    basis = rollback_basis(release)
    if basis is None:
        return ()
    found, made = basis
    stable = _stable_goal(release)
    rolls_bare = (
        made.floor == 0
        and stable is not None
        and stable.template is not None
        and bool(ready_pods(seen.stable))
    )
    again = _candidates_again(made, seen, found.stable.replicas) if rolls_bare else ()
    goals = [
        *_pod_goals(release, seen, stable, rolls_bare=rolls_bare, again=bool(again)),
        *_affinity_goals(release),
    ]
    until: list[Condition] = [Condition.STABLE_BACK] if stable else []
    if any(isinstance(goal, DeploymentGoal) and goal.side is Side.CANDIDATE for goal in goals):
        goals.append(AbsentGoal("Deployment", made.candidate, when=(Condition.CANDIDATE_SILENT,)))
        until.append(Condition.CANDIDATE_GONE)
    if not goals:
        return (LET_GO,)
    if serves_alone(release, seen):
        return (*_candidate_stays(made, stable), LET_GO)
    back = Step(
        "back",
        f"back to {made.from_version}",
        tuple(goals),
        tuple(until),
        max(MINIMUM_DEADLINE_MS, made.deadline_ms),
        candidates=0,
        stables=found.stable.replicas,
        waits_for_capacity=made.has_autoscaler,
    )
    return (*again, back, LET_GO)


def _candidate_stays(made: Plan, stable: DeploymentGoal | None) -> tuple[Step, ...]:
    left = DeploymentGoal(Side.CANDIDATE, claimed=False)
    title = f"{made.candidate} stays: a Service selects its pods alone"
    restore = (stable,) if stable else ()
    until = (Condition.STABLE_BACK,) if stable else ()
    return (Step("canary stays", title, (*restore, left), until, keeps_candidate=True),)


def _candidates_again(made: Plan, seen: Observation, replicas: int) -> tuple[Step, ...]:
    """The candidate is gone already and the only pods that serve are about to be replaced: create
    it once more."""
    body = body_in_plan(made)
    if seen.candidate is not None or body is None:
        return ()
    up = DeploymentGoal(Side.CANDIDATE, claimed=True, replicas=replicas, create_from=body)
    return (
        Step(
            "canary again",
            "canary pods serve meanwhile",
            (up,),
            CANDIDATES_SERVE,
            MINIMUM_DEADLINE_MS,
        ),
    )


def _pod_goals(
    release: Release,
    seen: Observation,
    stable: DeploymentGoal | None,
    *,
    rolls_bare: bool,
    again: bool,
) -> tuple[Goal, ...]:
    """Stable as found and the candidates at 0, in the order that leaves ready pods serving."""
    restore = (stable,) if stable else ()
    candidate = seen.candidate
    is_own = candidate is not None and is_ours(release, candidate)
    if again:
        return (*restore, _no_candidates(STABLE_SERVES))
    if not is_own:
        return restore
    if _must_serve(candidate, seen, rolls_bare=rolls_bare):
        return (*restore, _no_candidates(STABLE_SERVES if stable else (Condition.STABLE_SERVES,)))
    if release.plan is None or not release.plan.has_autoscaler:
        return (_no_candidates(), *restore)
    grow = DeploymentGoal(Side.STABLE, replicas=load_to_carry(release, seen), carries_load=True)
    if accepts_less(release):
        return (_no_candidates(), *restore, grow)
    return (*restore, grow, _no_candidates((Condition.STABLE_TAKES_OVER,)))


def _must_serve(candidate: DeploymentSeen | None, seen: Observation, *, rolls_bare: bool) -> bool:
    """Whether the candidates are needed until stable is whole."""
    return (
        seen.stable is not None
        and bool(ready_pods(candidate))
        and (rolls_bare or not ready_pods(seen.stable))
    )


def _no_candidates(when: tuple[Condition, ...] = ()) -> DeploymentGoal:
    return DeploymentGoal(Side.CANDIDATE, replicas=0, when=when)


def _affinity_goals(release: Release) -> tuple[Goal, ...]:
    return tuple(
        ServiceGoal(service.name, affinity=service.affinity)
        for service in (release.as_found.services if release.as_found else ())
        if was_written(release.intents, Kind.SERVICE, service.name, Field.AFFINITY)
    )


def _stable_goal(release: Release) -> DeploymentGoal | None:
    """What the release wrote of stable, restored in one patch; None when it wrote nothing but its
    claim."""
    if release.as_found is None:
        return None
    found = release.as_found.stable
    goal = restored(release, Side.STABLE, found)
    if goal == DeploymentGoal(Side.STABLE):
        return None
    # the patch that restores the template also sets `paused`, or the rollout might not begin
    return goal if goal.template is None else replace(goal, paused=found.paused)
