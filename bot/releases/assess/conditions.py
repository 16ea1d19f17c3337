"""Does a condition of a step hold in this observation?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.releases.assess.handover import (
    Handover,
    accepts_less,
    handover_to_candidate,
    handover_to_stable,
    is_nobody_served,
    original_selectors,
    runs_one_template,
)
from bot.releases.assess.rollout import (
    is_complete,
    is_rolled,
    live_pods,
    newest,
    pods_of,
    ready_endpoints,
)
from bot.releases.assess.selectors import selected_ready
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Condition, DeploymentGoal, Side
from bot.releases.facts.release import Release


@dataclass(frozen=True)
class _Facts:
    """An observation with what the release says about selectors and sizes."""

    release: Release
    seen: Observation
    services: tuple[str, ...]

    @property
    def stable(self) -> DeploymentSeen | None:
        return self.seen.stable

    @property
    def candidate(self) -> DeploymentSeen | None:
        return self.seen.candidate

    @property
    def wanted(self) -> int:
        """The pods that stable wants, one at least."""
        return max(1, self.stable.replicas if self.stable else 1)

    @property
    def floor(self) -> int:
        return self.release.plan.floor if self.release.plan else 0

    @property
    def stable_selectors(self) -> tuple[dict[str, str], ...]:
        return original_selectors(self.release)

    @property
    def final_selectors(self) -> tuple[dict[str, str], ...]:
        return self.release.plan.final_selectors if self.release.plan else ()

    @property
    def waits_for_capacity(self) -> bool:
        """Stable takes over only with as many pods as serve now, unless less is accepted."""
        step = self.release.current_step
        return step is not None and step.waits_for_capacity

    @property
    def rolls_stable(self) -> bool:
        """Its template changes in this step."""
        step = self.release.current_step
        return step is not None and any(
            isinstance(goal, DeploymentGoal)
            and goal.side is Side.STABLE
            and goal.template is not None
            for goal in step.goals
        )

    def is_reached(self, deployment: DeploymentSeen | None) -> bool:
        return bool(ready_endpoints(self.seen, deployment, self.services))

    def endpoints(self, deployment: DeploymentSeen | None) -> int:
        """Pods of a Deployment that are ready endpoints, in the Service where they are fewest. With
        two IP families a pod has two endpoints."""
        return min(
            (
                len({one.pod_uid for one in ready_endpoints(self.seen, deployment, (name,))})
                for name in self.services
            ),
            default=0,
        )

    def to_stable(self, selectors: tuple[dict[str, str], ...]) -> Handover:
        return handover_to_stable(self.release, self.seen, selectors, self.services)


def condition_holds(
    condition: Condition,
    release: Release,
    seen: Observation,
    services: tuple[str, ...] | None = None,
) -> bool:
    """``services``: those that count; None: the app's."""
    names = release.target.services if services is None else services
    return _HOLDS[condition](_Facts(release, seen, names))


def _stable_complete(facts: _Facts) -> bool:
    return facts.stable is not None and is_complete(facts.stable)


def _stable_scaled(facts: _Facts) -> bool:
    stable, found = facts.stable, facts.release.as_found
    if stable is None or is_complete(stable):
        return stable is not None
    if found is None or found.stable.available is None:
        return False
    unready = max(0, found.stable.replicas - found.stable.available)
    return is_rolled(stable) and stable.available >= stable.replicas - unready


def _stable_back(facts: _Facts) -> bool:
    """Complete, or no worse than as found: what was unready then may stay so, and no pod is left of
    what came since."""
    stable = facts.stable
    if stable is None or is_complete(stable):
        return stable is not None
    return serves_as_found(facts.release, stable) and not _pods_since_found(facts.release, stable)


def serves_as_found(release: Release, stable: DeploymentSeen) -> bool:
    """As many pods are available as before the release."""
    found = release.as_found.stable.available if release.as_found else None
    return (
        found is not None
        and stable.observed_generation >= stable.generation
        and stable.available >= min(found, stable.replicas)
    )


def _pods_since_found(release: Release, stable: DeploymentSeen) -> int:
    """Pods of stable that neither its present template has nor any that ran as found."""
    current, found = newest(stable), release.as_found
    known = {*(found.stable.running if found else ()), *((current.uid,) if current else ())}
    return sum(one.replicas for one in stable.replica_sets if one.uid not in known)


def _candidate_complete(facts: _Facts) -> bool:
    return facts.candidate is not None and is_complete(facts.candidate)


def _candidate_matches_stable(facts: _Facts) -> bool:
    stable, candidate = facts.stable, facts.candidate
    if stable is None or candidate is None:
        return False
    return is_complete(candidate) and candidate.available >= facts.wanted


def _candidate_silent(facts: _Facts) -> bool:
    return not facts.is_reached(facts.candidate) and not live_pods(pods_of(facts.candidate))


def _candidate_selected(facts: _Facts) -> bool:
    plan = facts.release.plan
    if plan is None or plan.candidate_selector is None:
        return False
    handover = handover_to_candidate(facts.release, facts.seen, facts.services)
    return handover.ready >= facts.wanted and not handover.shortfalls()


def _stable_selected(facts: _Facts) -> bool:
    return _all_select(facts.stable_selectors, facts.stable, at_least=1)


def _stable_reselected(facts: _Facts) -> bool:
    if accepts_less(facts.release):
        return _all_select(facts.final_selectors, facts.stable, at_least=1)
    if not _all_select(facts.final_selectors, facts.stable, at_least=facts.wanted):
        return False
    return not facts.waits_for_capacity or not facts.to_stable(facts.final_selectors).shortfalls()


def _all_select(
    selectors: tuple[dict[str, str], ...], deployment: DeploymentSeen | None, *, at_least: int
) -> bool:
    return bool(selectors) and all(
        len(selected_ready(selector, deployment)) >= at_least for selector in selectors
    )


def _served_by_candidate(facts: _Facts) -> bool:
    return facts.endpoints(facts.candidate) >= 1 and not facts.is_reached(facts.stable)


def _served_by_stable(facts: _Facts) -> bool:
    return facts.endpoints(facts.stable) >= 1 and not facts.is_reached(facts.candidate)


def _candidate_serves(facts: _Facts) -> bool:
    return facts.endpoints(facts.candidate) >= max(1, facts.floor)


def _all_listed(facts: _Facts, deployment: DeploymentSeen | None) -> bool:
    """Every available pod is a ready endpoint of every Service."""
    return deployment is not None and facts.endpoints(deployment) >= max(1, deployment.available)


def _stable_takes_over(facts: _Facts) -> bool:
    """While every Service has a ready endpoint there is time to wait for pods of stable's present
    template, as many as carry the load. Where a Service has none, any ready pod of stable is
    better."""
    stable, selectors = facts.stable, facts.stable_selectors
    if stable is None or not selectors:
        return False
    if is_nobody_served(facts.seen, facts.services):
        return _stable_selected(facts)
    if not runs_one_template(stable, selectors):
        return False
    handover = facts.to_stable(selectors)
    if facts.waits_for_capacity and not accepts_less(facts.release):
        return not handover.shortfalls()
    if facts.waits_for_capacity and not facts.rolls_stable:
        return handover.ready >= 1
    # an autoscaler may have left fewer than the floor while stable had no traffic
    return handover.ready >= max(1, min(facts.floor, stable.replicas))


def _candidate_answers(facts: _Facts) -> bool:
    probe = facts.seen.probe
    return probe is not None and probe.asked > 0 and not probe.failed


_HOLDS: dict[Condition, Callable[[_Facts], bool]] = {
    Condition.STABLE_COMPLETE: _stable_complete,
    Condition.STABLE_SCALED: _stable_scaled,
    Condition.STABLE_BACK: _stable_back,
    Condition.CANDIDATE_COMPLETE: _candidate_complete,
    Condition.CANDIDATE_MATCHES_STABLE: _candidate_matches_stable,
    Condition.CANDIDATE_SILENT: _candidate_silent,
    Condition.CANDIDATE_GONE: lambda facts: facts.candidate is None,
    Condition.CANDIDATE_SELECTED: _candidate_selected,
    Condition.STABLE_SELECTED: _stable_selected,
    Condition.SERVED_BY_CANDIDATE: _served_by_candidate,
    Condition.SERVED_BY_STABLE: _served_by_stable,
    Condition.CANDIDATE_SERVES: _candidate_serves,
    Condition.STABLE_SERVES: lambda facts: _all_listed(facts, facts.stable),
    Condition.STABLE_RESELECTED: _stable_reselected,
    Condition.STABLE_TAKES_OVER: _stable_takes_over,
    Condition.CANDIDATE_LISTED: lambda facts: _all_listed(facts, facts.candidate),
    Condition.CANDIDATE_UNUSED: lambda facts: not facts.is_reached(facts.candidate),
    Condition.CANDIDATE_ANSWERS: _candidate_answers,
}
