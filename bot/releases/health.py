"""Pod failures classified; has this rollout completed? Facts in, claims out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bot.releases.model import Cause, FailureClass, Rules
from bot.releases.observation import ContainerSeen, DeploymentSeen, EndpointSeen, Observation, PodSeen, ReplicaSetSeen
from bot.releases.plan import Condition, Role

_GONE_FOR_GOOD = re.compile(r"not found|manifest unknown|denied|unauthorized|does not exist|no such image", re.IGNORECASE)
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable"})
PULL_PATIENCE_MS = 120_000


def newest(deployment: DeploymentSeen) -> ReplicaSetSeen | None:
    """The ReplicaSet of the current template, else the one of the highest revision."""
    for replica_set in deployment.replica_sets:
        if replica_set.template == deployment.template:
            return replica_set
    return None


def is_complete(deployment: DeploymentSeen) -> bool:
    """As ``kubectl rollout status`` means it: seen by the controller, all updated, none old left, all available.

    Source: k8s.io/kubectl polymorphichelpers/rollout_status.go (DeploymentStatusViewer.Status).
    """
    return (
        deployment.observed_generation >= deployment.generation
        and deployment.updated >= deployment.replicas
        and deployment.status_replicas <= deployment.updated
        and deployment.available >= deployment.updated
    )


def rollout_line(deployment: DeploymentSeen) -> str:
    """kubectl's sentence for the state of a rollout. Source: as is_complete."""
    name = deployment.name
    if deployment.observed_generation < deployment.generation:
        return "Waiting for deployment spec update to be observed..."
    for kind, _status, reason, _message in deployment.conditions:
        if kind == "Progressing" and reason == "ProgressDeadlineExceeded":
            return f'deployment "{name}" exceeded its progress deadline'
    if deployment.updated < deployment.replicas:
        return (
            f'Waiting for deployment "{name}" rollout to finish: '
            f"{deployment.updated} out of {deployment.replicas} new replicas have been updated..."
        )
    if deployment.status_replicas > deployment.updated:
        return (
            f'Waiting for deployment "{name}" rollout to finish: '
            f"{deployment.status_replicas - deployment.updated} old replicas are pending termination..."
        )
    if deployment.available < deployment.updated:
        return (
            f'Waiting for deployment "{name}" rollout to finish: '
            f"{deployment.available} of {deployment.updated} updated replicas are available..."
        )
    return f'deployment "{name}" successfully rolled out'


def pods_of(deployment: DeploymentSeen | None) -> tuple[PodSeen, ...]:
    return tuple(pod for rs in deployment.replica_sets for pod in rs.pods) if deployment else ()


def ready_endpoints(
    seen: Observation, deployment: DeploymentSeen | None, services: Collection[str] | None = None
) -> tuple[EndpointSeen, ...]:
    """``services``: only theirs (a preview Service is observed too and serves nobody); None: of all."""
    uids = {pod.uid for pod in pods_of(deployment)}
    return tuple(
        e for e in seen.endpoints if e.ready and not e.terminating and e.pod_uid in uids and (services is None or e.service in services)
    )


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def matches(selector: Any, labels: Mapping[str, str]) -> bool:
    """A LabelSelector on labels; an empty one matches everything. Source: apimachinery meta/v1 LabelSelectorAsSelector."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], rule.get("values") or ()
        match rule["operator"]:
            case "In":
                fits = key in labels and labels[key] in values
            case "NotIn":
                fits = labels.get(key) not in values
            case "Exists":
                fits = key in labels
            case "DoesNotExist":
                fits = key not in labels
            case _:
                fits = False
        if not fits:
            return False
    return True


def _selected_ready(selector: dict[str, str], deployment: DeploymentSeen | None) -> int:
    return sum(1 for pod in pods_of(deployment) if pod.ready and not pod.terminating and selects(selector, pod.labels))


def holds(
    condition: Condition,
    seen: Observation,
    *,
    candidate_selector: dict[str, str] | None = None,
    stable_selectors: tuple[dict[str, str], ...] = (),
    final_selectors: tuple[dict[str, str], ...] = (),
    services: tuple[str, ...] | None = None,
    floor: int = 0,
) -> bool:
    """Whether a claim about the cluster is true in this observation. ``services``: the app's; None: all that were observed."""
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
                candidate is not None and stable is not None and is_complete(candidate) and candidate.available >= max(1, stable.replicas)
            )
        case Condition.CANDIDATE_SILENT:
            return candidate is None or (not ready_endpoints(seen, candidate, names) and not _live(pods_of(candidate)))
        case Condition.CANDIDATE_GONE:
            return candidate is None
        case Condition.CANDIDATE_SELECTED:
            need = max(1, stable.replicas if stable else 1)
            return candidate_selector is not None and _selected_ready(candidate_selector, candidate) >= need
        case Condition.STABLE_SELECTED:
            return bool(stable_selectors) and all(_selected_ready(s, stable) >= 1 for s in stable_selectors)
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
            return bool(final_selectors) and all(_selected_ready(s, stable) >= need for s in final_selectors)
        case Condition.STABLE_TAKES_OVER:
            return _takes_over(seen, stable_selectors, names, floor)
        case Condition.CANDIDATE_UNUSED:
            return not ready_endpoints(seen, candidate, names)
        case Condition.CANDIDATE_ANSWERS:
            return seen.probe is not None and seen.probe.asked > 0 and not seen.probe.failed


def _takes_over(seen: Observation, selectors: tuple[dict[str, str], ...], services: tuple[str, ...], floor: int) -> bool:
    """While every Service has somebody there is time: only pods of stable's present template, at least the floor of them.
    Where a Service has nobody, any ready pod of stable is better than none.
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
    need = max(1, min(floor, stable.replicas))  # fewer than the floor where an autoscaler took them while nobody asked
    for selector in selectors:
        chosen = [pod for pod in ready if selects(selector, pod.labels)]
        if len(chosen) < need or any(pod.uid not in ours for pod in chosen):
            return False
    return True


def _live(pods: tuple[PodSeen, ...]) -> tuple[PodSeen, ...]:
    return tuple(pod for pod in pods if not pod.terminating and pod.phase not in ("Succeeded", "Failed"))


@dataclass(frozen=True)
class PodFailure:
    failure: FailureClass
    pod: str
    what: str  # "ImagePullBackOff", "CrashLoopBackOff", "OOMKilled", "Unschedulable"…
    detail: str
    ripe_at: int  # when it counts; in the past: now
    plain: str = ""  # the same in plain words, where Kubernetes' own are long


def _pull_words(image: str, message: str) -> str:
    """Kubelet's message is a chain of "failed to …:" that ends in the reason."""
    reason = message.rstrip(". ").rpartition(": ")[2] or "no reason given"
    return f"image {image} cannot be pulled: {reason[:120]}"


def _container_failure(pod: PodSeen, container: ContainerSeen, rules: Rules) -> PodFailure | None:
    waiting, message = container.waiting, container.message
    if waiting == "InvalidImageName" or (waiting in _PULL and (_GONE_FOR_GOOD.search(message) or waiting == "ErrImageNeverPull")):
        words = _pull_words(container.image, message) if waiting in _PULL else f"{container.image} is not a valid image name"
        return PodFailure(FailureClass.PERMANENT, pod.name, waiting, message or container.image, 0, words)
    if waiting == "CreateContainerConfigError":
        transient = "failed to sync" in message and "cache" in message
        return None if transient else PodFailure(FailureClass.PERMANENT, pod.name, waiting, message, 0)
    if waiting in _PULL:
        ripe_at = pod.created_at + PULL_PATIENCE_MS
        return PodFailure(FailureClass.PERSISTENT, pod.name, waiting, message, ripe_at, _pull_words(container.image, message))
    crashed = waiting == "CrashLoopBackOff" or (container.last_terminated not in ("", "Completed") and not container.ready)
    if crashed and container.restarts >= rules.crash_loop_restarts:
        what = "OOMKilled" if container.last_terminated == "OOMKilled" else waiting or "CrashLoopBackOff"
        ended = f"exit code {container.exit_code}" if container.exit_code is not None else container.last_terminated
        detail = f"{container.name} restarted {container.restarts} times, last ended with {ended or 'an error'}"
        return PodFailure(FailureClass.PERSISTENT, pod.name, what, detail, pod.created_at + rules.crash_loop_for_ms)
    return None


def pod_failure(pod: PodSeen, rules: Rules) -> PodFailure | None:
    """The gravest failure of one pod, by the classes of the design; None while it may still become ready."""
    if pod.unschedulable:
        return PodFailure(FailureClass.ENVIRONMENT, pod.name, "Unschedulable", pod.unschedulable, 0)
    if pod.reason in ("Evicted", "Preempting", "Preempted", "NodeLost", "NodeAffinity", "Shutdown", "Terminated"):
        return PodFailure(FailureClass.ENVIRONMENT, pod.name, pod.reason, pod.message, 0)
    if pod.ready:
        return None
    found = [failure for c in pod.containers if (failure := _container_failure(pod, c, rules)) is not None]
    order = (FailureClass.PERMANENT, FailureClass.PERSISTENT)
    return min(found, key=lambda failure: order.index(failure.failure), default=None)


@dataclass(frozen=True)
class Assessment:
    """``all_failed``: at least two pods, or one that was replaced and failed again, and none is healthy."""

    permanent: tuple[PodFailure, ...] = ()
    persistent: tuple[PodFailure, ...] = ()  # ripe ones
    environment: tuple[PodFailure, ...] = ()
    all_failed: bool = False
    next_ripe_at: int | None = None
    blocked: str = ""  # the ReplicaSet cannot create pods: quota, admission


def assess(seen: Observation, role: Role, rules: Rules, now: int, tolerated: Collection[str] = ()) -> Assessment:
    """Judge the live pods of the newest ReplicaSet of one Deployment. ``tolerated``: pods whose failure alone is no news."""
    deployment = seen.stable if role is Role.STABLE else seen.candidate
    replica_set = newest(deployment) if deployment else None
    if deployment is None or replica_set is None:
        return Assessment()
    everyone = replica_set.pods
    live = _live(everyone)
    # an evicted pod stays behind as a failed object: it matters only while its successor is not there
    short = sum(pod.ready for pod in live) < replica_set.desired
    left = tuple(pod for pod in everyone if pod.phase == "Failed" and not pod.terminating) if short else ()
    failures = [failure for pod in (*live, *left) if (failure := pod_failure(pod, rules)) is not None]
    persistent = tuple(f for f in failures if f.failure is FailureClass.PERSISTENT and f.ripe_at <= now)
    ripening = [f.ripe_at for f in failures if f.failure is FailureClass.PERSISTENT and f.ripe_at > now]
    replaced = any(pod.terminating or pod.phase == "Failed" for pod in everyone)
    broken = [f for f in failures if f.failure is not FailureClass.ENVIRONMENT and f.ripe_at <= now]
    all_failed = len(broken) == len(live) and (len(broken) >= 2 or (len(broken) == 1 and (replaced or deployment.replicas == 1)))
    news = any(f.pod not in tolerated for f in broken)
    return Assessment(
        permanent=tuple(f for f in failures if f.failure is FailureClass.PERMANENT and news),
        persistent=persistent if news else (),
        environment=tuple(f for f in failures if f.failure is FailureClass.ENVIRONMENT),
        all_failed=bool(broken) and all_failed,
        next_ripe_at=min(ripening, default=None),
        blocked=replica_set.failure,
    )


def _evidence(failures: tuple[PodFailure, ...]) -> tuple[str, ...]:
    """One line for each different message, with the pods that gave it; at most five."""
    pods: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        pods.setdefault((failure.what, failure.detail), []).append(failure.pod)
    lines = []
    for (what, detail), names in tuple(pods.items())[:5]:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"{names[0]}{others}: {what}: {detail}"[:400])
    return tuple(lines)


def cause_of(failures: tuple[PodFailure, ...], total: int) -> Cause:
    """Cause first, in one line, then one line a pod (at most five)."""
    first = failures[0]
    many = f"{len(failures)} of {total} new pods" if total > 1 else "the new pod"
    what = first.plain or first.what + (f" ({first.detail})" if first.detail else "")
    summary = f"{what} ({many})" if first.plain else f"{many}: {what}"
    return Cause(
        first.failure,
        summary[:600],
        _evidence(failures),
        tuple(failure.pod for failure in failures[:5]),
    )
