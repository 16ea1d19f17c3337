"""An observation that is older than what was observed before: several API servers, one of them
behind, answer so for a moment. Nothing is decided by it."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.facts.observation import Observation
from bot.releases.facts.release import NewestGeneration, Release

OLD_FOR_MS = 15_000
"""No API server that works is behind for longer. After it, what is observed is so: an etcd that was
restored counts from before."""
AGAIN_MS = 1_000


def is_old_answer(release: Release, seen: Observation, now: int) -> bool:
    """A spec has one generation after the other, so that of a known uid never falls."""
    stable, newest = seen.stable, release.newest
    return (
        stable is not None
        and stable.uid == newest.uid
        and stable.generation < newest.number
        and now - newest.since < OLD_FOR_MS
    )


def with_generation(release: Release, seen: Observation, now: int) -> Release:
    """Kept once a release has a plan, from its first write on."""
    stable = seen.stable
    if stable is None or release.plan is None:
        return release
    known = release.newest
    if (stable.uid, stable.generation) == (known.uid, known.number):
        return release
    return replace(release, newest=NewestGeneration(stable.uid, stable.generation, now))
