"""What a card shows of the last observation. Never used to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.releases.facts.ages import human_age
from bot.releases.facts.counts import counted


@dataclass(frozen=True)
class PodLine:
    name: str
    side: Literal["stable", "candidate"]
    version: str
    image: str
    ready: bool
    status: str  # as kubectl's STATUS column: Running, ImagePullBackOff, Terminating…
    restarts: int
    node: str
    created_at: int
    is_new: bool  # runs the version that the release brings
    containers: str = ""  # as kubectl's READY column: 1/2
    revision: int = 0
    restarted_at: int = 0  # when a container last ended; 0: never


@dataclass(frozen=True)
class VersionCount:
    side: Literal["stable", "candidate"]
    version: str
    is_new: bool
    pods: int
    ready: int
    endpoints: int  # ready endpoints in the app's Services


@dataclass(frozen=True)
class Struggle:
    """New pods that are in trouble which does not count yet: ``pods`` of ``total``.
    ``counts_at``: milliseconds from when on it may count; 0: only at the deadline."""

    what: str  # CrashLoopBackOff, ImagePullBackOff, FailedMount, "the readiness probe fails"…
    pods: int
    total: int
    restarts: int = 0
    is_crash: bool = False
    counts_at: int = 0

    @property
    def words(self) -> str:
        """
        >>> Struggle("CrashLoopBackOff", 3, 3, restarts=2, is_crash=True).words
        '3 of 3 new pods: CrashLoopBackOff, 2 restarts'
        """
        pods = f"{self.pods} of {self.total} new pods" if self.total > 1 else "the new pod"
        again = f", {counted(self.restarts, 'restart')}" if self.is_crash else ""
        return f"{pods}: {self.what}{again}"


@dataclass(frozen=True)
class CardSnapshot:
    """What a card shows of the last observation."""

    desired: int = 0
    updated: int = 0
    available: int = 0
    versions: tuple[VersionCount, ...] = ()
    pods: tuple[PodLine, ...] = ()  # at most CARD_SNAPSHOT_PODS
    pods_total: int = 0
    serving: Literal["stable", "candidate", "both", "none", ""] = ""
    share: int | None = (
        None  # percent of the ready endpoints that run the new version, while there is a candidate
    )
    serving_since: int = 0  # when this was first observed; 0: at the first observation
    struggle: Struggle | None = None
    others: int = 0  # ready endpoints of the app's Services that are pods of neither side


CARD_SNAPSHOT_PODS = 60
POD_COLUMNS = (
    "ROLE",
    "VERSION",
    "READY",
    "STATUS",
    "RESTARTS",
    "POD",
    "REV",
    "AGE",
    "NODE",
    "IMAGE",
)
"""Of `/pods` and of the table in a card's thread. A phone shows the first four: what runs, and
whether it is well."""


def pod_row(role: str, pod: PodLine, now: int) -> tuple[str, ...]:
    """The POD_COLUMNS of one pod, in kubectl's words."""
    again = (
        f" ({human_age(now - pod.restarted_at)} ago)" if pod.restarts and pod.restarted_at else ""
    )
    return (
        role,
        pod.version,
        pod.containers or ("yes" if pod.ready else "no"),
        pod.status,
        f"{pod.restarts}{again}",
        pod.name,
        str(pod.revision or "-"),
        human_age(now - pod.created_at),
        pod.node or "-",
        pod.image,
    )


def versions_now(snapshot: CardSnapshot) -> str:
    """The versions that serve, or where nothing serves those that run: ``2.0.0``, or ``2.0.0
    (3 pods) and 1.0.0 (1 pod)``; "" where no pod was observed."""
    counts = [count for count in snapshot.versions if count.pods]
    serving = [count for count in counts if count.endpoints]
    pods: dict[str, int] = {}
    for count in serving or counts:
        pods[count.version] = pods.get(count.version, 0) + count.pods
    by_size = sorted(pods.items(), key=lambda item: (-item[1], item[0]))
    if len(by_size) < 2:
        return next(iter(pods), "")
    words = [f"{version} ({counted(number, 'pod')})" for version, number in by_size]
    return f"{', '.join(words[:-1])} and {words[-1]}"
