"""An observation that is older than what was observed before: several API servers, one of them
behind, answer so for a moment. Nothing is decided by it."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import NewestGeneration, Release

OLD_FOR_MS = 15_000
"""No API server that works is behind for longer. After it, what is observed is so: an etcd that was
restored counts from before."""
AGAIN_MS = 1_000


def is_old_answer(release: Release, seen: Observation, now: int) -> bool:
    return (
        _is_older(seen.stable, release.newest, now)
        or _is_older(seen.candidate, release.newest_candidate, now)
        or _is_before_the_candidate(release, seen, now)
    )


def with_generation(release: Release, seen: Observation, now: int) -> Release:
    """Kept once a release has a plan, from its first write on."""
    if release.plan is None:
        return release
    newest = _newest(release.newest, seen.stable, now)
    candidate = NewestGeneration()  # an absence that was believed stays so
    if seen.candidate is not None:
        candidate = _newest(release.newest_candidate, seen.candidate, now)
    if (newest, candidate) == (release.newest, release.newest_candidate):
        return release
    return replace(release, newest=newest, newest_candidate=candidate)


def _is_older(item: DeploymentSeen | None, newest: NewestGeneration, now: int) -> bool:
    """A spec has one generation after the other, so that of a known uid never falls."""
    return (
        item is not None
        and item.uid == newest.uid
        and item.generation < newest.number
        and now - newest.since < OLD_FOR_MS
    )


def _is_before_the_candidate(release: Release, seen: Observation, now: int) -> bool:
    """While an answer may still be from before the candidate was there, its absence says nothing:
    the candidate would be left behind with its claim. The answer to our own delete is no such
    answer, and one that shows a Service as it was switched neither."""
    known = release.newest_candidate
    if seen.candidate is not None or not known.uid:
        return False
    if seen.deleted == release.candidate_name or _is_switched(release, seen):
        return False
    return now - known.appeared_at < OLD_FOR_MS


def _is_switched(release: Release, seen: Observation) -> bool:
    """Selectors change after the candidate is there."""
    found = release.as_found.services if release.as_found else ()
    selectors = {one.name: one.selector for one in found}
    return any(one.selector != selectors.get(one.name, one.selector) for one in seen.services)


def _newest(known: NewestGeneration, item: DeploymentSeen | None, now: int) -> NewestGeneration:
    if item is None or (item.uid, item.generation) == (known.uid, known.number):
        return known
    appeared_at = known.appeared_at if item.uid == known.uid else now
    return NewestGeneration(item.uid, item.generation, now, appeared_at)
