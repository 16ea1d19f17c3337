"""The state before the first write, which a rollback restores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A JSON value as the Kubernetes API returns it (dict, list, str, int, float, bool or None)."""


@dataclass(frozen=True)
class DeploymentAsFound:
    name: str
    uid: str
    template: Json
    replicas: int
    paused: bool
    selector: Json
    strategy: Json
    labels: dict[str, str]
    annotations: dict[
        str, str
    ]  # foreign ones and the change cause; never revision or pilothouse.dev/*
    revision: int
    min_ready_seconds: int = 0
    progress_deadline_seconds: int = 600
    available: int | None = None  # pods; None in records from before it was kept
    running: tuple[str, ...] = ()  # uids of the ReplicaSets that had pods


@dataclass(frozen=True)
class ServiceAsFound:
    name: str
    uid: str
    selector: dict[str, str]
    affinity: Json  # {"sessionAffinity": ..., "sessionAffinityConfig": ...}


@dataclass(frozen=True)
class AsFound:
    """Saved by a tick that writes nothing to the cluster."""

    cluster_uid: str
    at: int
    stable: DeploymentAsFound
    services: tuple[ServiceAsFound, ...]
    candidate: DeploymentAsFound | None = None  # one made by hand and adopted
