"""Which pods have failed, and how: permanent, persistent, or by the environment?"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.releases.assess.rollout import live_pods, newest
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.observation import (
    ContainerSeen,
    DeploymentSeen,
    Observation,
    PodSeen,
    ReplicaSetSeen,
)
from bot.releases.facts.plan import Side
from bot.releases.facts.rules import Rules

_GONE_FOR_GOOD = re.compile(
    r"not found|manifest unknown|denied|unauthorized|does not exist|no such image", re.IGNORECASE
)


_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable"})


PULL_PATIENCE_MS = 120_000


@dataclass(frozen=True)
class PodFailure:
    failure: FailureClass
    pod: str
    what: str  # "ImagePullBackOff", "CrashLoopBackOff", "OOMKilled", "Unschedulable"…
    detail: str
    ripe_at: int  # from when on it counts, in milliseconds
    plain: str = ""  # the same in plain words, where Kubernetes' own are long


def _pull_words(image: str, message: str) -> str:
    """Kubelet's message is a chain of "failed to …:" that ends in the reason."""
    reason = message.rstrip(". ").rpartition(": ")[2] or "no reason given"
    return f"image {image} cannot be pulled: {reason[:120]}"


def _container_failure(pod: PodSeen, container: ContainerSeen, rules: Rules) -> PodFailure | None:
    waiting, message = container.waiting, container.message
    if waiting == "InvalidImageName" or (
        waiting in _PULL and (_GONE_FOR_GOOD.search(message) or waiting == "ErrImageNeverPull")
    ):
        words = (
            _pull_words(container.image, message)
            if waiting in _PULL
            else f"{container.image} is not a valid image name"
        )
        return PodFailure(
            FailureClass.PERMANENT, pod.name, waiting, message or container.image, 0, words
        )
    if waiting == "CreateContainerConfigError":
        transient = "failed to sync" in message and "cache" in message
        return (
            None if transient else PodFailure(FailureClass.PERMANENT, pod.name, waiting, message, 0)
        )
    if waiting in _PULL:
        ripe_at = pod.created_at + PULL_PATIENCE_MS
        return PodFailure(
            FailureClass.PERSISTENT,
            pod.name,
            waiting,
            message,
            ripe_at,
            _pull_words(container.image, message),
        )
    crashed = waiting == "CrashLoopBackOff" or (
        container.last_terminated not in ("", "Completed") and not container.ready
    )
    if crashed and container.restarts >= rules.crash_loop_restarts:
        what = (
            "OOMKilled"
            if container.last_terminated == "OOMKilled"
            else waiting or "CrashLoopBackOff"
        )
        ended = (
            f"exit code {container.exit_code}"
            if container.exit_code is not None
            else container.last_terminated
        )
        detail = (
            f"{container.name} restarted {container.restarts} times, last ended with"
            f" {ended or 'an error'}"
        )
        return PodFailure(
            FailureClass.PERSISTENT,
            pod.name,
            what,
            detail,
            pod.created_at + rules.crash_loop_for_ms,
        )
    return None


def pod_failure(pod: PodSeen, rules: Rules) -> PodFailure | None:
    """The gravest failure of one pod; None while it may still become ready."""
    if pod.unschedulable:
        return PodFailure(FailureClass.ENVIRONMENT, pod.name, "Unschedulable", pod.unschedulable, 0)
    if pod.reason in (
        "Evicted",
        "Preempting",
        "Preempted",
        "NodeLost",
        "NodeAffinity",
        "Shutdown",
        "Terminated",
    ):
        return PodFailure(FailureClass.ENVIRONMENT, pod.name, pod.reason, pod.message, 0)
    if pod.ready:
        return None
    found = [
        failure
        for c in pod.containers
        if (failure := _container_failure(pod, c, rules)) is not None
    ]
    order = (FailureClass.PERMANENT, FailureClass.PERSISTENT)
    return min(found, key=lambda failure: order.index(failure.failure), default=None)


@dataclass(frozen=True)
class Assessment:
    """``all_failed``: at least two pods, or one that was replaced and failed again, and none is
    healthy."""

    permanent: tuple[PodFailure, ...] = ()
    persistent: tuple[PodFailure, ...] = ()  # those that count already
    environment: tuple[PodFailure, ...] = ()
    all_failed: bool = False
    next_ripe_at: int | None = None
    blocked: str = ""  # the ReplicaSet cannot create pods: quota, admission


def assess(
    seen: Observation, side: Side, rules: Rules, now: int, tolerated: Collection[str] = ()
) -> Assessment:
    """Judge the live pods of the newest ReplicaSet of one Deployment.

    ``tolerated``: pods that a person resumed in spite of. Their failures alone do not count again.
    """
    deployment = seen.stable if side is Side.STABLE else seen.candidate
    replica_set = newest(deployment) if deployment else None
    if deployment is None or replica_set is None:
        return Assessment()
    live = live_pods(replica_set.pods)
    failures = [
        failure
        for pod in (*live, *_unreplaced(replica_set, live))
        if (failure := pod_failure(pod, rules)) is not None
    ]
    lasting = [f for f in failures if f.failure is not FailureClass.ENVIRONMENT]
    broken = [f for f in lasting if f.ripe_at <= now]
    counts = any(f.pod not in tolerated for f in broken)
    return Assessment(
        permanent=_of_class(lasting, FailureClass.PERMANENT) if counts else (),
        persistent=_of_class(broken, FailureClass.PERSISTENT) if counts else (),
        environment=_of_class(failures, FailureClass.ENVIRONMENT),
        all_failed=len(broken) == len(live) and _is_enough(deployment, replica_set, broken),
        next_ripe_at=min(
            (f.ripe_at for f in _of_class(lasting, FailureClass.PERSISTENT) if f.ripe_at > now),
            default=None,
        ),
        blocked=replica_set.failure,
    )


def _unreplaced(replica_set: ReplicaSetSeen, live: Sequence[PodSeen]) -> tuple[PodSeen, ...]:
    """An evicted pod stays behind as a failed object: it matters only until its successor is
    ready."""
    if sum(pod.ready for pod in live) >= replica_set.desired:
        return ()
    return tuple(pod for pod in replica_set.pods if pod.phase == "Failed" and not pod.terminating)


def _of_class(failures: Sequence[PodFailure], failure: FailureClass) -> tuple[PodFailure, ...]:
    return tuple(item for item in failures if item.failure is failure)


def _is_enough(
    deployment: DeploymentSeen, replica_set: ReplicaSetSeen, broken: Sequence[PodFailure]
) -> bool:
    """One broken pod says something about the version only if it is the only one wanted, or came
    after another."""
    is_replacement = any(pod.terminating or pod.phase == "Failed" for pod in replica_set.pods)
    return len(broken) >= 2 or (len(broken) == 1 and (is_replacement or deployment.replicas == 1))


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
    """The cause in one line, then one line of evidence for each message (at most five)."""
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
