"""Which pods have failed, and how: permanent, persistent, or by the environment?"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bot.releases.assess.container_failures import (
    PodFailure,
    container_failure,
    is_late_cache,
    patient_until,
)
from bot.releases.assess.rollout import live_pods, newest
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.observation import (
    Observation,
    PodSeen,
    ReplicaSetSeen,
)
from bot.releases.facts.plan import Side
from bot.releases.facts.rules import Rules

_EVICTIONS = frozenset(
    {
        "Evicted",
        "Preempting",
        "Preempted",
        "NodeLost",
        "NodeAffinity",
        "Shutdown",
        "Terminated",
    }
)
_MISSING_SOURCE = re.compile(r"(secret|configmap) .*not found|non-?existent (secret|config) key")
_NETWORK = re.compile(r"\bnetwork|\bcni\b", re.IGNORECASE)
_OWN_PLACEMENT = re.compile(
    r'persistentvolumeclaim "[^"]*" not found|didn\'t match Pod\'s node affinity/selector'
)
_REFUSAL = re.compile(r"is forbidden|denied (the )?request")
_CLUSTERS_REFUSAL = re.compile(r"quota|being terminated|cannot create resource")


def pod_failure(pod: PodSeen, rules: Rules) -> PodFailure | None:
    """The gravest failure of one pod; None while it may still become ready."""
    if pod.unschedulable:
        return PodFailure(FailureClass.ENVIRONMENT, pod.name, "Unschedulable", pod.unschedulable, 0)
    if pod.reason in _EVICTIONS:
        return PodFailure(FailureClass.ENVIRONMENT, pod.name, pod.reason, pod.message, 0)
    if pod.ready:
        return None
    found = [
        failure for c in pod.containers if (failure := container_failure(pod, c, rules)) is not None
    ]
    order = (FailureClass.PERMANENT, FailureClass.PERSISTENT)
    gravest = min(found, key=lambda failure: order.index(failure.failure), default=None)
    return gravest or _sandbox_failure(pod)


def _sandbox_failure(pod: PodSeen) -> PodFailure | None:
    """Volumes and the sandbox come before the containers; only events say why they do not. An
    event of a pod that has its sandbox is history."""
    if pod.has_sandbox or any(c.running_since or c.restarts for c in pod.containers):
        return None
    for reason, message in pod.warnings:
        if reason == "FailedMount" and not is_late_cache(message):
            theirs = not _MISSING_SOURCE.search(message)
            words = f"a volume cannot be mounted: {message.rpartition(' : ')[2][:200]}"
        elif reason == "FailedCreatePodSandBox":
            theirs = bool(_NETWORK.search(message))
            words = f"the pod's sandbox cannot start: {message.rpartition(': ')[2][:200]}"
        else:
            continue
        failure = FailureClass.ENVIRONMENT if theirs else FailureClass.PERSISTENT
        return PodFailure(failure, pod.name, reason, message, patient_until(pod), words)
    return None


def _placement_failure(pod: PodSeen, before: Any, template: Any) -> PodFailure | None:
    """A claim or a node constraint that nothing satisfies, and that the old template had not."""
    found = _OWN_PLACEMENT.search(pod.unschedulable)
    if found is None or pod.scale_up or before is None:
        return None
    if _placement(before) == _placement(template):
        return None
    words = f"no node fits what the new template asks for: {pod.unschedulable[:200]}"
    return PodFailure(FailureClass.DEADLINE, pod.name, "Unschedulable", pod.unschedulable, 0, words)


def _placement(template: Any) -> tuple[Any, ...]:
    """What a template asks of nodes and claims."""
    spec = template.get("spec") or {}
    claims = sorted(
        volume["persistentVolumeClaim"].get("claimName", "")
        for volume in spec.get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    )
    return spec.get("nodeSelector") or {}, spec.get("affinity") or {}, claims


def _refused_by_admission(replica_set: ReplicaSetSeen) -> PodFailure | None:
    """Every pod is refused for what it is; a quota is the cluster's."""
    message = replica_set.failure
    if not _REFUSAL.search(message) or _CLUSTERS_REFUSAL.search(message):
        return None
    words = f"admission refuses the new pods: {message[:400]}"
    return PodFailure(FailureClass.PERMANENT, "", "FailedCreate", message, 0, words)


@dataclass(frozen=True)
class Assessment:
    """``persistent``: those that count already, none while the others may still follow them.
    ``all_failed``: none is healthy, and they are at least two, all that the surge allows, or one
    that came after another."""

    permanent: tuple[PodFailure, ...] = ()
    persistent: tuple[PodFailure, ...] = ()
    environment: tuple[PodFailure, ...] = ()
    all_failed: bool = False
    next_ripe_at: int | None = None
    unplaceable: tuple[PodFailure, ...] = ()  # the new template's own: counts at the deadline
    blocked: str = ""  # the ReplicaSet cannot create pods: quota, admission


def assess(
    seen: Observation,
    side: Side,
    rules: Rules,
    now: int,
    tolerated: Collection[str] = (),
    *,
    before: Any = None,
) -> Assessment:
    """Judge the live pods of the newest ReplicaSet of one Deployment.

    ``tolerated``: pods that a person resumed in spite of. Their failures alone do not count again.
    ``before``: the template that ran before, None where it is unknown.
    """
    deployment = seen.stable if side is Side.STABLE else seen.candidate
    replica_set = newest(deployment) if deployment else None
    if deployment is None or replica_set is None:
        return Assessment()
    live = live_pods(replica_set.pods)
    refused = None if live else _refused_by_admission(replica_set)
    if refused is not None:
        counts = refused.pod not in tolerated
        return Assessment(permanent=(refused,) if counts else (), blocked=replica_set.failure)
    failures = [
        failure
        for pod in (*live, *_unreplaced(replica_set, live))
        if (
            failure := _placement_failure(pod, before, replica_set.template)
            or pod_failure(pod, rules)
        )
        is not None
    ]
    own = (FailureClass.PERMANENT, FailureClass.PERSISTENT)
    lasting = [f for f in failures if f.failure in own]
    broken = [f for f in lasting if f.ripe_at <= now]
    counts = any(f.pod not in tolerated for f in broken)
    permanent = _of_class(lasting, FailureClass.PERMANENT) if counts else ()
    persistent = _of_class(broken, FailureClass.PERSISTENT) if counts else ()
    ripe_at = [f.ripe_at for f in _of_class(lasting, FailureClass.PERSISTENT) if f.ripe_at > now]
    if persistent and not permanent and _others_are_open(replica_set, live, failures, now):
        others_until = min(f.ripe_at for f in persistent) + rules.crash_loop_for_ms
        if now < others_until:
            persistent = ()
            ripe_at.append(others_until)
    return Assessment(
        permanent=permanent,
        persistent=persistent,
        environment=_of_class(failures, FailureClass.ENVIRONMENT),
        all_failed=len(broken) == len(live) and _is_enough(replica_set, broken),
        next_ripe_at=min(ripe_at, default=None),
        unplaceable=_of_class(failures, FailureClass.DEADLINE),
        blocked=replica_set.failure,
    )


def _others_are_open(
    replica_set: ReplicaSetSeen, live: Sequence[PodSeen], failures: Sequence[PodFailure], now: int
) -> bool:
    """No new pod runs, and at least one that has not failed yet may still run or fail by itself.

    Pods of one version do not fail in the same second: a person is asked about a difference between
    them, and is not asked before there can be one."""
    theirs = (FailureClass.PERMANENT, FailureClass.PERSISTENT)
    failed = {failure.pod for failure in failures if failure.ripe_at <= now}
    stuck = {failure.pod for failure in failures if failure.failure not in theirs}
    if any(_runs(pod) or pod.name in stuck for pod in live):
        return False
    are_to_come = len(live) < replica_set.desired and not replica_set.failure
    return are_to_come or any(pod.name not in failed for pod in live)


def _runs(pod: PodSeen) -> bool:
    """A pod that has crashed may be ready between two crashes."""
    return pod.ready and not any(container.restarts for container in pod.containers)


def _unreplaced(replica_set: ReplicaSetSeen, live: Sequence[PodSeen]) -> tuple[PodSeen, ...]:
    """An evicted pod stays behind as a failed object: it matters only until its successor is
    ready."""
    if sum(pod.ready for pod in live) >= replica_set.desired:
        return ()
    return tuple(pod for pod in replica_set.pods if pod.phase == "Failed" and not pod.terminating)


def _of_class(failures: Sequence[PodFailure], failure: FailureClass) -> tuple[PodFailure, ...]:
    return tuple(item for item in failures if item.failure is failure)


def _is_enough(replica_set: ReplicaSetSeen, broken: Sequence[PodFailure]) -> bool:
    """One broken pod says something about the version if no more are wanted yet (the surge allows
    no more, or there is only one), or if it came after another."""
    is_replacement = any(pod.terminating or pod.phase == "Failed" for pod in replica_set.pods)
    wanted = max(1, replica_set.desired)
    return len(broken) >= min(2, wanted) or (len(broken) == 1 and is_replacement)


def _evidence(failures: tuple[PodFailure, ...]) -> tuple[str, ...]:
    """One line for each different message, with the pods that gave it; at most five."""
    pods: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        pods.setdefault((failure.what, failure.detail), []).append(failure.pod)
    lines = []
    for (what, detail), names in tuple(pods.items())[:5]:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        who = f"{names[0]}{others}: " if names[0] else ""
        lines.append(f"{who}{what}: {detail}"[:400])
    return tuple(lines)


def cause_of(failures: tuple[PodFailure, ...], total: int) -> Cause:
    """The cause in one line, then one line of evidence for each message (at most five)."""
    first = failures[0]
    many = f"{len(failures)} of {total} new pods" if total > 1 else "the new pod"
    what = first.plain or first.what + (f" ({first.detail})" if first.detail else "")
    if not first.pod:
        summary = what
    else:
        summary = f"{what} ({many})" if first.plain else f"{many}: {what}"
    return Cause(
        first.failure,
        summary[:600],
        _evidence(failures),
        tuple(failure.pod for failure in failures[:5] if failure.pod),
    )
