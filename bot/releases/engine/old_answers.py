"""An observation that is older than what was observed before: several API servers, one of them
behind, answer so for a moment. Nothing is decided by it."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import service_named
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.release import NewestGeneration, Release

OLD_FOR_MS = 15_000
"""No API server that works is behind for longer. After it, what is observed is so: an etcd that was
restored counts from before."""
AGAIN_MS = 1_000


def is_old_answer(release: Release, seen: Observation, now: int) -> bool:
    return (
        _is_older(_generation(seen.stable), release.newest, now)
        or _is_older(_generation(seen.candidate), release.newest_candidate, now)
        or any(_is_older(_version(one), _known(release, one), now) for one in seen.services)
        or _is_before_the_candidate(release, seen, now)
        or _is_before_the_preview(release, seen, now)
    )


def with_generation(release: Release, seen: Observation, now: int) -> Release:
    """Kept once a release has a plan, from its first write on. An absence that was believed stays
    so: nothing is known of what is gone."""
    if release.plan is None:
        return release
    newest = release.newest
    if seen.stable is not None:
        newest = _newest(newest, _generation(seen.stable), now)
    candidate = _newest(release.newest_candidate, _generation(seen.candidate), now)
    services = tuple(_newest(_known(release, one), _version(one), now) for one in seen.services)
    known = (release.newest, release.newest_candidate, release.newest_services)
    if (newest, candidate, services) == known:
        return release
    return replace(release, newest=newest, newest_candidate=candidate, newest_services=services)


def _generation(item: DeploymentSeen | None) -> tuple[str, int]:
    """A spec has one after the other, so that of a known uid never falls."""
    return ("", 0) if item is None else (item.uid, item.generation)


def _version(service: ServiceSeen) -> tuple[str, int]:
    """A Service has no generation. Of one object the API server's versions only rise."""
    version = service.resource_version
    return service.uid, int(version) if version.isdecimal() else 0


def _known(release: Release, service: ServiceSeen) -> NewestGeneration:
    known = (one for one in release.newest_services if one.uid == service.uid)
    return next(known, NewestGeneration())


def _is_older(observed: tuple[str, int], newest: NewestGeneration, now: int) -> bool:
    uid, number = observed
    is_known = bool(uid) and uid == newest.uid
    return is_known and number < newest.number and now - newest.since < OLD_FOR_MS


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


def _is_before_the_preview(release: Release, seen: Observation, now: int) -> bool:
    """As of a candidate. It is the one Service that was not found at the start."""
    preview = release.plan.preview if release.plan else ""
    if not preview or service_named(seen, preview) is not None:
        return False
    found = release.as_found.services if release.as_found else ()
    others = {*(one.uid for one in found), *(one.uid for one in seen.services)}
    known = (one for one in release.newest_services if one.uid not in others)
    return any(now - one.appeared_at < OLD_FOR_MS for one in known)


def _is_switched(release: Release, seen: Observation) -> bool:
    """Selectors change after the candidate is there."""
    found = release.as_found.services if release.as_found else ()
    selectors = {one.name: one.selector for one in found}
    return any(one.selector != selectors.get(one.name, one.selector) for one in seen.services)


def _newest(known: NewestGeneration, observed: tuple[str, int], now: int) -> NewestGeneration:
    uid, number = observed
    if not uid:
        return NewestGeneration()
    if (uid, number) == (known.uid, known.number):
        return known
    appeared_at = known.appeared_at if uid == known.uid else now
    return NewestGeneration(uid, number, now, appeared_at)
