"""The rollback of blue/green: everything as found, from wherever the release is.

The Services go to a side that is whole before anything is removed. While stable is untouched, its
selector is restored: at once where the new version fails, else once stable carries what the
candidate serves. Where stable is rolled or rolling, its template goes first, behind the
candidate. Where the candidate is gone already and the Services select by the new version, they
first select both versions of stable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bot.releases.assess.handover import load_to_carry
from bot.releases.assess.intents import find, was_written
from bot.releases.assess.rollout import ready_endpoints, ready_pods
from bot.releases.assess.selectors import labels_of, selected_ready, selects
from bot.releases.facts.as_found import AsFound, DeploymentAsFound, ServiceAsFound
from bot.releases.facts.counts import counted
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import Observation
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
from bot.releases.planning.candidate import body_as_found, body_in_plan
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS
from bot.releases.planning.draining import PROXIES_FOLLOW_MS
from bot.releases.strategies.bluegreen.steps import preview_removal


@dataclass(frozen=True)
class _Rollback:
    release: Release
    seen: Observation
    found: AsFound
    made: Plan

    @property
    def services(self) -> tuple[ServiceAsFound, ...]:
        """Those whose selector is restored. One that a person chose to keep has no intent left: it
        stays as it is."""
        return tuple(
            service
            for service in self.found.services
            if find(self.release.intents, Kind.SERVICE, service.name, Field.SELECTOR) is not None
        )

    @property
    def original_selectors(self) -> tuple[ServiceGoal, ...]:
        return tuple(
            ServiceGoal(service.name, service.selector, when=(Condition.STABLE_TAKES_OVER,))
            for service in self.services
        )

    @property
    def pods_needed(self) -> int:
        """Ready pods that stable needs to take over."""
        return load_to_carry(self.release, self.seen)

    @property
    def is_at_once(self) -> bool:
        return self.release.rollback is not None and self.release.rollback.at_once

    @property
    def takes_over(self) -> tuple[Goal, ...]:
        """The selectors as found, and stable as large as what serves now: before them, or behind
        them where the new version fails."""
        if not self.original_selectors:
            return ()
        needed = self.pods_needed
        grow = DeploymentGoal(Side.STABLE, replicas=needed, carries_load=True)
        if self.is_at_once:
            return (*self.original_selectors, grow)
        return (grow, *self.original_selectors)

    @property
    def with_so_many(self) -> str:
        """How many pods take over at once, where they are fewer than serve now."""
        ready, needed = len(ready_pods(self.seen.stable)), self.pods_needed
        if not self.is_at_once or ready >= needed:
            return ""
        return f" with {ready} of {counted(needed, 'pod')} now, the rest behind"

    @property
    def is_candidate_kept(self) -> bool:
        """A Service whose selector a person chose to keep selects the candidate's pods."""
        candidate = self.seen.candidate
        if candidate is None:
            return False
        kept = {s.name for s in self.found.services} - {s.name for s in self.services}
        labels = labels_of(candidate.template)
        return any(
            service.name in kept and selects(service.selector, labels)
            for service in self.seen.services
        )

    @property
    def has_candidate_served(self) -> bool:
        """And may be sent requests by proxies that have not followed yet."""
        intents = self.release.intents
        names = (service.name for service in self.found.services)
        switched = any(was_written(intents, Kind.SERVICE, one, Field.SELECTOR) for one in names)
        return switched and bool(ready_pods(self.seen.candidate))

    def has_written(self, name: str, field: Field) -> bool:
        return was_written(self.release.intents, Kind.DEPLOYMENT, name, field)


def rollback_steps(release: Release, seen: Observation) -> tuple[Step, ...]:
    basis = rollback_basis(release)
    if basis is None:
        return ()
    back = _Rollback(release, seen, *basis)
    if seen.stable is None and ready_endpoints(seen, seen.candidate, release.target.services):
        return (_candidate_stays(back.made, "nothing else serves"),)
    return (
        *_rescue(back),
        *_stable_as_found(back),
        *_selectors_as_found(back),
        _candidate_as_found(back),
        LET_GO,
    )


# --- stable and the Services ----------------------------------------------------------------------


def _rescue(back: _Rollback) -> tuple[Step, ...]:
    """Where a Service has no ready endpoint, whatever pods stable has are better, before anything
    else."""
    original = back.original_selectors
    if not original or not _is_abandoned(back):
        return ()
    title = f"{back.found.stable.name} serves again"
    return (Step("selector back", title, original, (), MINIMUM_DEADLINE_MS),)


def _is_abandoned(back: _Rollback) -> bool:
    """Some Service has no ready endpoint, and stable has a ready pod for each original selector."""
    seen = back.seen
    served = {
        endpoint.service
        for deployment in (seen.stable, seen.candidate)
        for endpoint in ready_endpoints(seen, deployment)
    }
    names = {service.name for service in seen.services} & set(back.release.target.services)
    return not names <= served and all(
        selected_ready(service.selector, seen.stable) for service in back.found.services
    )


def _stable_as_found(back: _Rollback) -> tuple[Step, ...]:
    stable, made = back.found.stable, back.made
    if back.has_written(stable.name, Field.TEMPLATE):
        template = replace(restored(back.release, Side.STABLE, stable), paused=stable.paused)
        roll = Step(
            "back",
            f"roll {stable.name} back to {made.from_version}",
            (template, *back.takes_over),
            (Condition.STABLE_BACK,),
            made.deadline_ms,
            stables=stable.replicas,
            waits_for_capacity=bool(back.original_selectors),
        )
        return (*_shelter(back), roll)
    if back.has_written(stable.name, Field.PAUSED):
        goal = DeploymentGoal(Side.STABLE, paused=stable.paused)
        return (Step("back", f"resume {stable.name}", (goal,), ()),)
    return ()


def _selectors_as_found(back: _Rollback) -> tuple[Step, ...]:
    original = back.original_selectors
    if not original:
        return ()
    before = back.made.from_version or back.found.stable.name
    return (
        Step(
            "selector back",
            f"send traffic back to {before}{back.with_so_many}",
            back.takes_over,
            () if back.is_candidate_kept else (Condition.CANDIDATE_UNUSED,),
            max(MINIMUM_DEADLINE_MS, back.made.deadline_ms),
            waits_for_capacity=True,
        ),
    )


# --- where the Services point while stable's template is restored ---------------------------------


def _shelter(back: _Rollback) -> tuple[Step, ...]:
    """Every Service keeps a ready pod meanwhile: of the candidate where it is whole, else of either
    version of stable."""
    target = back.made.candidate_selector
    if target is None:
        return ()
    again = _candidate_again(back)
    is_whole = bool(again) or _is_whole(back, target)
    goals = _goals_at_candidate(back, target) if is_whole else _goals_at_both_versions(back)
    if not goals:
        return again
    names = " and ".join(goal.name for goal in goals)
    where = back.made.candidate if is_whole else f"both versions of {back.found.stable.name}"
    return (
        *again,
        Step(
            "shelter",
            f"{names} to {where} meanwhile",
            (*(_grown_candidate(back) if is_whole else ()), *goals),
            (Condition.CANDIDATE_SERVES,) if is_whole else (),
            MINIMUM_DEADLINE_MS,
            waits_for_capacity=is_whole,
        ),
    )


def _grown_candidate(back: _Rollback) -> tuple[Goal, ...]:
    """As many as stable has by now: an autoscaler may have raised it."""
    return (
        DeploymentGoal(Side.CANDIDATE, replicas=back.found.stable.replicas, at_least_stable=True),
    )


def _candidate_again(back: _Rollback) -> tuple[Step, ...]:
    """Stable rolled in place would leave no pod serving, and the candidate is gone or going: it is
    created once more."""
    candidate, made = back.seen.candidate, back.made
    if back.is_at_once or made.floor > 0 or (candidate is not None and not candidate.terminating):
        return ()
    up = Step(
        "green",
        f"bring up {made.candidate} once more",
        (
            DeploymentGoal(
                Side.CANDIDATE,
                claimed=True,
                replicas=back.found.stable.replicas,
                create_from=_candidate_body(back),
            ),
        ),
        (Condition.CANDIDATE_MATCHES_STABLE, Condition.CANDIDATE_SELECTED),
        made.deadline_ms,
        waits_for_capacity=True,
    )
    if candidate is None:
        return (up,)
    make_room = Step(
        "make room",
        f"{made.candidate} goes first",
        (AbsentGoal("Deployment", made.candidate),),
        (Condition.CANDIDATE_GONE,),
        MINIMUM_DEADLINE_MS,
    )
    return (make_room, up)


def _candidate_body(back: _Rollback) -> Any:
    found = back.found.candidate
    return body_in_plan(back.made) if found is None else body_as_found(found, back.release)


def _is_whole(back: _Rollback, target: dict[str, str]) -> bool:
    candidate = back.seen.candidate
    if candidate is None or candidate.terminating:
        return False
    return len(selected_ready(target, candidate)) >= max(1, back.found.stable.replicas)


def _selectors_now(back: _Rollback) -> dict[str, dict[str, str]]:
    return {service.name: service.selector for service in back.seen.services}


def _restorable(back: _Rollback) -> tuple[ServiceAsFound, ...]:
    now = _selectors_now(back)
    return tuple(service for service in back.services if service.name in now)


def _exposed(back: _Rollback) -> tuple[ServiceAsFound, ...]:
    """Services that select by the new version's own label: they lose their pods when stable's
    template is restored."""
    now = _selectors_now(back)
    ends = dict(zip(back.release.target.services, back.made.final_selectors, strict=False))
    return tuple(
        service
        for service in _restorable(back)
        if now[service.name] == ends.get(service.name) != service.selector
    )


def _goals_at_candidate(back: _Rollback, target: dict[str, str]) -> tuple[ServiceGoal, ...]:
    now = _selectors_now(back)
    is_needed = back.made.floor == 0 or any(
        not now[service.name].items() <= target.items() for service in _exposed(back)
    )
    if not is_needed:
        return ()
    return tuple(
        ServiceGoal(
            service.name,
            {key: target[key] for key in service.selector},
            when=(Condition.CANDIDATE_SELECTED,),
        )
        for service in _restorable(back)
    )


def _goals_at_both_versions(back: _Rollback) -> tuple[ServiceGoal, ...]:
    """The keys whose values both versions share."""
    now = _selectors_now(back)
    shared = {
        service.name: {
            key: value
            for key, value in service.selector.items()
            if now[service.name].get(key) == value
        }
        for service in _exposed(back)
    }
    return tuple(ServiceGoal(name, selector) for name, selector in shared.items() if selector)


# --- the candidate --------------------------------------------------------------------------------


def _candidate_as_found(back: _Rollback) -> Step:
    """The candidate as it was before the release: absent, or as it was found."""
    made, before = back.made, back.found.candidate
    if back.is_candidate_kept:
        return _candidate_stays(made, "a Service that was changed by hand uses it")
    unused = (Condition.CANDIDATE_UNUSED,)
    after_ms = PROXIES_FOLLOW_MS if back.has_candidate_served else 0
    if before is None:
        absent = AbsentGoal("Deployment", made.candidate, when=unused)
        return Step(
            "remove",
            f"remove {made.candidate}",
            (*preview_removal(made.preview), absent),
            (Condition.CANDIDATE_GONE,),
            MINIMUM_DEADLINE_MS,
            after_ms=after_ms,
        )
    return Step(
        "green back",
        f"{made.candidate} as it was",
        (
            *preview_removal(made.preview),
            # two goals: what is created inert keeps the claim until it is live again
            replace(_adopted_as_found(back, before), when=unused),
            DeploymentGoal(Side.CANDIDATE, claimed=False),
        ),
        (),
        MINIMUM_DEADLINE_MS,
        after_ms=after_ms,
    )


def _adopted_as_found(back: _Rollback, before: DeploymentAsFound) -> DeploymentGoal:
    goal = restored(back.release, Side.CANDIDATE, before)
    return replace(
        goal,
        # one that is gone is created with 0 replicas
        replicas=before.replicas if back.seen.candidate is None else goal.replicas,
        create_from=body_as_found(before, back.release),
    )


def _candidate_stays(made: Plan, why: str) -> Step:
    goals: tuple[Goal, ...] = (
        *preview_removal(made.preview),
        DeploymentGoal(Side.CANDIDATE, claimed=False),
    )
    return Step("green stays", f"{made.candidate} stays: {why}", goals, (), keeps_candidate=True)
