"""Pod failures, by the classes of the design: permanent, persistent, environment."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from bot.releases.assess.rollout import live_pods, newest
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.observation import ContainerSeen, Observation, PodSeen
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
    ripe_at: int  # when it counts; in the past: now
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
    """The gravest failure of one pod, by the classes of the design; None while it may still become
    ready."""
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
    persistent: tuple[PodFailure, ...] = ()  # ripe ones
    environment: tuple[PodFailure, ...] = ()
    all_failed: bool = False
    next_ripe_at: int | None = None
    blocked: str = ""  # the ReplicaSet cannot create pods: quota, admission


def assess(
    seen: Observation, role: Side, rules: Rules, now: int, tolerated: Collection[str] = ()
) -> Assessment:
    """Judge the live pods of the newest ReplicaSet of one Deployment. ``tolerated``: pods whose
    failure alone is no news."""
    deployment = seen.stable if role is Side.STABLE else seen.candidate
    replica_set = newest(deployment) if deployment else None
    if deployment is None or replica_set is None:
        return Assessment()
    everyone = replica_set.pods
    live = live_pods(everyone)
    # an evicted pod stays behind as a failed object: it matters only while its successor is not
    # there
    short = sum(pod.ready for pod in live) < replica_set.desired
    left = (
        tuple(pod for pod in everyone if pod.phase == "Failed" and not pod.terminating)
        if short
        else ()
    )
    failures = [
        failure for pod in (*live, *left) if (failure := pod_failure(pod, rules)) is not None
    ]
    persistent = tuple(
        f for f in failures if f.failure is FailureClass.PERSISTENT and f.ripe_at <= now
    )
    ripening = [
        f.ripe_at for f in failures if f.failure is FailureClass.PERSISTENT and f.ripe_at > now
    ]
    replaced = any(pod.terminating or pod.phase == "Failed" for pod in everyone)
    broken = [f for f in failures if f.failure is not FailureClass.ENVIRONMENT and f.ripe_at <= now]
    all_failed = len(broken) == len(live) and (
        len(broken) >= 2 or (len(broken) == 1 and (replaced or deployment.replicas == 1))
    )
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
