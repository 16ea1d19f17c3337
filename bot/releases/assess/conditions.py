"""Does a condition of a step hold in this observation?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.releases.assess.handover import Handover, is_nobody_served, runs_one_template
from bot.releases.assess.rollout import is_complete, live_pods, pods_of, ready_endpoints
from bot.releases.assess.selectors import selected_ready
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Condition


@dataclass(frozen=True)
class _Facts:
    """An observation with what the plan says about selectors and sizes."""

    seen: Observation
    services: tuple[str, ...]
    candidate_selector: dict[str, str] | None
    stable_selectors: tuple[dict[str, str], ...]
    final_selectors: tuple[dict[str, str], ...]
    floor: int
    ceiling: int | None
    waits_for_capacity: bool
    accepts_less: bool
    rolls_stable: bool

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

    def is_reached(self, deployment: DeploymentSeen | None) -> bool:
        return bool(ready_endpoints(self.seen, deployment, self.services))

    def endpoints(self, deployment: DeploymentSeen | None) -> int:
        """Ready endpoints of a Deployment in the Service where it has fewest."""
        return min(
            (len(ready_endpoints(self.seen, deployment, (name,))) for name in self.services),
            default=0,
        )

    def to_stable(self, selectors: tuple[dict[str, str], ...]) -> Handover:
        return Handover(
            self.seen,
            receiver=self.stable,
            giver=self.candidate,
            services=self.services,
            selectors=selectors,
            floor=self.floor,
            ceiling=self.ceiling,
        )

    def to_candidate(self) -> Handover:
        return Handover(
            self.seen,
            receiver=self.candidate,
            giver=self.stable,
            services=self.services,
            selectors=(self.candidate_selector or {},),
            floor=self.floor,
        )


def condition_holds(
    condition: Condition,
    seen: Observation,
    *,
    candidate_selector: dict[str, str] | None = None,
    stable_selectors: tuple[dict[str, str], ...] = (),
    final_selectors: tuple[dict[str, str], ...] = (),
    services: tuple[str, ...] | None = None,
    floor: int = 0,
    ceiling: int | None = None,
    waits_for_capacity: bool = False,
    accepts_less: bool = False,
    rolls_stable: bool = False,
) -> bool:
    """``services``: the app's; None: all that were observed. ``floor``: stable pods that must stay
    available; ``ceiling``: the most that stable is raised to. ``waits_for_capacity``: stable takes
    over only with as many pods as serve now, unless a person, or the new version's failure,
    ``accepts_less``. ``rolls_stable``: its template changes meanwhile."""
    facts = _Facts(
        seen,
        tuple(service.name for service in seen.services) if services is None else services,
        candidate_selector,
        stable_selectors,
        final_selectors,
        floor,
        ceiling,
        waits_for_capacity,
        accepts_less,
        rolls_stable,
    )
    return _HOLDS[condition](facts)


def _stable_complete(facts: _Facts) -> bool:
    return facts.stable is not None and is_complete(facts.stable)


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
    if facts.candidate_selector is None:
        return False
    handover = facts.to_candidate()
    return handover.ready >= facts.wanted and not handover.shortfalls()


def _stable_selected(facts: _Facts) -> bool:
    return _all_select(facts.stable_selectors, facts.stable, at_least=1)


def _stable_reselected(facts: _Facts) -> bool:
    if facts.accepts_less:
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
    if facts.waits_for_capacity and not facts.accepts_less:
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
