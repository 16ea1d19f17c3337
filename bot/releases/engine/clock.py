"""A Redis clock that jumps changes no verdict.

A release counts in Redis' time, which every process shares. The API server's clock says whether
that time jumped: how far the two are apart is kept in the record, and when it changes at once, the
times of what still runs move along. What pods report counts in the API server's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bot.releases.engine.respond import capacity_name, stop_name
from bot.releases.facts.release import Progress, Release
from bot.releases.facts.requests import Abort, Adopt, PersonsRequest, Promote, Resume

JUMP_MS = 15_000
"""Less is no jump: the API server states whole seconds, and a tick may last some."""


def follow_clock(release: Release, now: int, cluster_now: int | None) -> Release:
    """``cluster_now``: by the API server's clock at this moment; None: unknown."""
    if cluster_now is None:
        return release
    apart, before = now - cluster_now, release.clocks_apart_ms
    if before is None:
        return replace(release, clocks_apart_ms=apart if abs(apart) >= JUMP_MS else 0)
    if abs(apart - before) < JUMP_MS:
        return release
    return _moved(replace(release, clocks_apart_ms=apart), apart - before, now)


def _moved(release: Release, by: int, now: int) -> Release:
    """No time comes to lie ahead: what was written after the jump is in the new time already."""

    def moved(at: int) -> int:
        return min(now, at + by) if at else at

    failed, errors, away = release.failed_write, release.errors, release.unreachable
    stood = release.standstill
    after = replace(
        release,
        phase_since=moved(release.phase_since),
        progress=_progress_moved(release.progress, moved),
        unreachable=replace(away, since=moved(away.since)) if away else None,
        standstill=replace(stood, since=moved(stood.since)) if stood else None,
        failed_write=replace(failed, since=moved(failed.since)) if failed else None,
        errors=replace(errors, since=moved(errors.since)) if errors else None,
        reminded_at=moved(release.reminded_at),
        started_at=moved(release.started_at),
    )
    names = {name(release): name(after) for name in (stop_name, capacity_name)}
    asked = tuple(
        replace(one, at=moved(one.at), request=_as_meant(one.request, names))
        for one in release.asked
    )
    return replace(after, asked=asked)


def _as_meant(request: PersonsRequest, names: Mapping[str, str]) -> PersonsRequest:
    """What a person answered has another name since: its time is part of it."""
    if isinstance(request, Resume | Adopt | Abort | Promote) and request.at in names:
        return replace(request, at=names[request.at])
    return request


def _progress_moved(progress: Progress, moved: Callable[[int], int]) -> Progress:
    gate, trouble = progress.gate, progress.trouble
    if gate is not None:
        gate = replace(gate, opened_at=moved(gate.opened_at))
    if trouble is not None:
        trouble = replace(trouble, since=moved(trouble.since))
    return replace(progress, began_at=moved(progress.began_at), gate=gate, trouble=trouble)
