"""How many pods may a roll add or remove, and how long may it take?"""

from __future__ import annotations

import math
import re
from typing import Any

from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.release import Release

MINIMUM_DEADLINE_MS = 300_000
DEFAULT_PROGRESS_S = 600
NO_PROGRESS_DEADLINE_S = 2**31 - 1
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_PROGRESS = re.compile(r'"progressDeadlineSeconds":\s*\d')


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
    """Of a whole roll, in milliseconds: each wave's time, times ceil(replicas / (surge +
    unavailable))."""
    waves = waves_of(deployment)
    return max(
        MINIMUM_DEADLINE_MS, _own_deadline(deployment), waves * _wave_ms(deployment, release)
    )


def wave_deadline_of(deployment: DeploymentSeen, release: Release) -> int:
    """Of a step whose pods all start at once."""
    return max(MINIMUM_DEADLINE_MS, _own_deadline(deployment), _wave_ms(deployment, release))


def waves_of(deployment: DeploymentSeen) -> int:
    return math.ceil(max(1, deployment.replicas) / max(1, sum(fence_posts(deployment))))


def _wave_ms(deployment: DeploymentSeen, release: Release) -> int:
    """Twice the app's own p95, without history ready_within; and minReadySeconds as they are now,
    which the history leaves out."""
    ready_ms = 2 * release.usual_ms if release.usual_ms else release.rules.ready_within_ms
    return ready_ms + deployment.min_ready_seconds * 1000


def _own_deadline(deployment: DeploymentSeen) -> int:
    """``progressDeadlineSeconds`` where someone set it: so long without progress is normal. The
    greatest int32 means none (apps/v1 defaults.go)."""
    seconds = deployment.progress_deadline_seconds
    if seconds >= NO_PROGRESS_DEADLINE_S:
        return 0
    is_set = seconds != DEFAULT_PROGRESS_S or _states_progress_deadline(deployment)
    return seconds * 1000 if is_set else 0


def _states_progress_deadline(deployment: DeploymentSeen) -> bool:
    """The API server fills in 600 where nothing is said. That someone chose just that shows where
    it was applied: by the server, whose owners are those who stated a field, or by kubectl, which
    keeps what it applied."""
    path = "spec.progressDeadlineSeconds"
    is_owned = any(
        operation == "Apply" and owned == path for _, operation, _, owned in deployment.managers
    )
    return is_owned or _PROGRESS.search(deployment.annotations.get(LAST_APPLIED, "")) is not None
