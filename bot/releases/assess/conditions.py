"""Does a condition of a step hold in this observation?"""

from __future__ import annotations

from bot.releases.assess.rollout import _live, is_complete, newest, pods_of, ready_endpoints
from bot.releases.assess.selectors import _selected_ready, selects
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Condition


def condition_holds(
    condition: Condition,
    seen: Observation,
    *,
    candidate_selector: dict[str, str] | None = None,
    stable_selectors: tuple[dict[str, str], ...] = (),
    final_selectors: tuple[dict[str, str], ...] = (),
    services: tuple[str, ...] | None = None,
    floor: int = 0,
) -> bool:
    """Whether a claim about the cluster is true in this observation. ``services``: the app's; None:
    all that were observed."""
    stable, candidate = seen.stable, seen.candidate
    names = tuple(service.name for service in seen.services) if services is None else services

    def served(deployment: DeploymentSeen | None) -> int:
        """Ready endpoints of a Deployment in the Service where it has fewest."""
        return min((len(ready_endpoints(seen, deployment, (name,))) for name in names), default=0)

    match condition:
        case Condition.STABLE_COMPLETE:
            return stable is not None and is_complete(stable)
        case Condition.CANDIDATE_COMPLETE:
            return candidate is not None and is_complete(candidate)
        case Condition.CANDIDATE_MATCHES_STABLE:
            return (
                candidate is not None
                and stable is not None
                and is_complete(candidate)
                and candidate.available >= max(1, stable.replicas)
            )
        case Condition.CANDIDATE_SILENT:
            return candidate is None or (
                not ready_endpoints(seen, candidate, names) and not _live(pods_of(candidate))
            )
        case Condition.CANDIDATE_GONE:
            return candidate is None
        case Condition.CANDIDATE_SELECTED:
            need = max(1, stable.replicas if stable else 1)
            return (
                candidate_selector is not None
                and _selected_ready(candidate_selector, candidate) >= need
            )
        case Condition.STABLE_SELECTED:
            return bool(stable_selectors) and all(
                _selected_ready(s, stable) >= 1 for s in stable_selectors
            )
        case Condition.SERVED_BY_CANDIDATE:
            return served(candidate) >= 1 and not ready_endpoints(seen, stable, names)
        case Condition.SERVED_BY_STABLE:
            return served(stable) >= 1 and not ready_endpoints(seen, candidate, names)
        case Condition.CANDIDATE_SERVES:
            return served(candidate) >= max(1, floor)
        case Condition.CANDIDATE_LISTED:
            return candidate is not None and served(candidate) >= max(1, candidate.available)
        case Condition.STABLE_SERVES:
            return stable is not None and served(stable) >= max(1, stable.available)
        case Condition.STABLE_RESELECTED:
            need = max(1, stable.replicas if stable else 1)
            return bool(final_selectors) and all(
                _selected_ready(s, stable) >= need for s in final_selectors
            )
        case Condition.STABLE_TAKES_OVER:
            return _takes_over(seen, stable_selectors, names, floor)
        case Condition.CANDIDATE_UNUSED:
            return not ready_endpoints(seen, candidate, names)
        case Condition.CANDIDATE_ANSWERS:
            return seen.probe is not None and seen.probe.asked > 0 and not seen.probe.failed


def _takes_over(
    seen: Observation, selectors: tuple[dict[str, str], ...], services: tuple[str, ...], floor: int
) -> bool:
    """While every Service has somebody there is time: only pods of stable's present template, at
    least the floor of them. Where a Service has nobody, any ready pod of stable is better than
    none.
    """
    stable = seen.stable
    if stable is None or not selectors:
        return False
    pair = (seen.stable, seen.candidate)
    if any(not any(ready_endpoints(seen, item, (name,)) for item in pair) for name in services):
        return all(_selected_ready(selector, stable) >= 1 for selector in selectors)
    current = newest(stable)
    ours = {pod.uid for pod in current.pods} if current else set()
    ready = [pod for pod in pods_of(stable) if pod.ready and not pod.terminating]
    need = max(
        1, min(floor, stable.replicas)
    )  # fewer than the floor where an autoscaler took them while nobody asked
    for selector in selectors:
        chosen = [pod for pod in ready if selects(selector, pod.labels)]
        if len(chosen) < need or any(pod.uid not in ours for pod in chosen):
            return False
    return True
