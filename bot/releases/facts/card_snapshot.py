"""What a card shows of the last observation. Never used to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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


@dataclass(frozen=True)
class VersionCount:
    side: Literal["stable", "candidate"]
    version: str
    is_new: bool
    pods: int
    ready: int
    endpoints: int  # ready endpoints in the app's Services


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


CARD_SNAPSHOT_PODS = 60
