"""Have the proxies of the nodes followed the EndpointSlices?

Nothing in the API says so. What can be observed is that no slice lists the pods that leave; from
the first of such observations in a row, proxies have a fixed time.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decision import Decision
from bot.releases.facts.release import Release


def observe_leaving(decision: Decision, now: int, *, has_left: bool, after_ms: int) -> Decision:
    """Keep the time since when the slices say that they have left; wake when proxies have had
    ``after_ms``."""
    release = decision.release
    left_at = (_left_at(release) or now) if has_left else 0
    if left_at != release.progress.left_at:
        progress = replace(release.progress, left_at=left_at)
        decision = decision.changed(replace(release, progress=progress))
    followed_at = (left_at or now) + after_ms
    return decision.wake(followed_at) if now < followed_at else decision


def have_followed(release: Release, now: int, *, after_ms: int) -> bool:
    left_at = _left_at(release)
    return left_at > 0 and now >= left_at + after_ms


def _left_at(release: Release) -> int:
    """Of this step: an older Pilothouse may have taken the value of another one along."""
    progress = release.progress
    return progress.left_at if progress.left_at >= progress.began_at else 0
