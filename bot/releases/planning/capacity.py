"""How many pods may a roll add or remove, and how long may it take?"""

from __future__ import annotations

import math
from typing import Any

from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.release import Release

MINIMUM_DEADLINE_MS = 300_000


def fence_posts(deployment: DeploymentSeen) -> tuple[int, int]:
    """(surge, unavailable) in pods. Source: Kubernetes deployment/util ResolveFenceposts: surge
    rounds up, unavailable down, and both zero means unavailable 1.
    """
    if deployment.strategy.get("type") == "Recreate":
        return 0, deployment.replicas
    rolling = deployment.strategy.get("rollingUpdate") or {}
    surge = _int_or_percent(rolling.get("maxSurge", "25%"), deployment.replicas, up=True)
    unavailable = _int_or_percent(
        rolling.get("maxUnavailable", "25%"), deployment.replicas, up=False
    )
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _int_or_percent(value: Any, total: int, *, up: bool) -> int:
    """
    >>> _int_or_percent("25%", 5, up=True), _int_or_percent("25%", 5, up=False)
    (2, 1)
    >>> _int_or_percent(3, 5, up=True)
    3
    """
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * total
        return -(-exact // 100) if up else exact // 100
    return int(value)


def floor_of(deployment: DeploymentSeen) -> int:
    """Available stable pods during a roll: replicas - maxUnavailable."""
    return max(0, deployment.replicas - fence_posts(deployment)[1])


def deadline_of(deployment: DeploymentSeen, release: Release) -> int:
    """The larger of 5 min and twice the app's own p95; without history ceil(replicas / (surge +
    unavailable)) x ready_within."""
    if release.usual_ms:
        return max(MINIMUM_DEADLINE_MS, 2 * release.usual_ms)
    waves = math.ceil(max(1, deployment.replicas) / max(1, sum(fence_posts(deployment))))
    return max(MINIMUM_DEADLINE_MS, waves * release.rules.ready_within_ms)
