"""What the end of a release adds to the counters: one more with that outcome, and how long it took.

Names of counters end with the cluster, the only part that may hold a colon.
"""

from __future__ import annotations

from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Release

BOUNDS_S = (10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)
"""From a restart of three pods to a canary that holds over a day."""


def counts_of(release: Release) -> dict[str, int]:
    """Of a final release. One that never began has no duration; a fleet's parts are counted, each
    in its cluster."""
    if release.fleet is not None:
        return {}
    about = f"{release.phase.value}:{kind_of(release)}:{release.target.cluster}"
    counts = {f"releases:{about}": 1}
    took_ms = release.took_ms
    if took_ms is not None:
        counts[f"release_ms:{about}"] = took_ms
        counts[f"release_within:{_bound(took_ms)}:{about}"] = 1
    return counts


def kind_of(release: Release) -> str:
    """The strategy of a deploy, else what was asked: scale, restart, undo, apply."""
    change = release.change
    return change.strategy.value if isinstance(change, Deploy) else change.kind


def _bound(took_ms: int) -> str:
    return next((str(bound) for bound in BOUNDS_S if took_ms <= bound * 1000), "+Inf")
