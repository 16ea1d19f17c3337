"""Which freeze keeps a release from its next step, or from its start, now and soon?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.operations.access.freezes_in_force import freezes_in_force, in_clusters
from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import known_asker
from bot.operations.context import Context
from bot.policy.decision import ANYTHING, Start
from bot.policy.freezes import Freeze, FreezeWindow, holding
from bot.releases.facts.changes import Undo
from bot.releases.facts.freezes import FreezeInForce
from bot.releases.facts.release import Release

AHEAD_MS = 86_400_000


def meet_freeze(context: Context, release: Release) -> Release:
    """Of one that runs: the freeze that holds it, read at each tick. No step begins under a freeze
    that was set a moment ago."""
    freeze = _in_force(context, release)
    return release if release.freeze == freeze else replace(release, freeze=freeze)


def _in_force(context: Context, release: Release) -> FreezeInForce | None:
    if not _may_be_held(release):
        return None
    target, now = release.target, context.store.now()
    found = holding(freezes_in_force(context), app=target.app, cluster=target.cluster, now=now)
    if found is None or _was_overridden(release, found):
        return None
    return FreezeInForce(found.line, found.at, found.until)


def _may_be_held(release: Release) -> bool:
    return release.plan is not None and release.progress.at_step >= 0 and not release.is_way_back


def _was_overridden(release: Release, freeze: Freeze) -> bool:
    """An admin let it begin despite what was in force then."""
    began_despite_one = any("despite a freeze" in one for one in release.overrides)
    return began_despite_one and freeze.at <= release.started_at


def freeze_changes_at(context: Context, release: Release) -> int | None:
    """When a freeze that holds what runs ends or begins next, milliseconds; None: not soon."""
    if not _may_be_held(release) or release.phase.is_final:
        return None
    ends = release.freeze.until if release.freeze is not None else None
    begins = [one.at for one in _coming(context, release, AHEAD_MS)]
    return min((at for at in (ends, *begins) if at is not None), default=None)


def with_coming_freeze(context: Context, release: Release) -> Release:
    """At its start: the first window that will hold it within a day."""
    if isinstance(release.change, Undo):
        return replace(release, coming_freeze=None)
    first = min(_coming(context, release, AHEAD_MS), key=lambda one: one.at, default=None)
    if first is None:
        return replace(release, coming_freeze=None)
    words = f"{first.scope} ({first.reason})"
    return replace(release, coming_freeze=FreezeInForce(words, first.at, first.until))


def _coming(context: Context, release: Release, ahead_ms: int) -> list[Freeze]:
    now, target = context.store.now(), release.target
    windows: Iterable[FreezeWindow] = context.catalog.windows
    next_ones = (one.next_within(now, ahead_ms) for one in windows if one.running == "hold")
    found = (in_clusters(context, one) for one in next_ones if one is not None)
    return [one for one in found if one.covers(target.app, target.cluster)]


def freeze_that_refuses(context: Context, release: Release) -> FreezeInForce | None:
    """Of one that has not begun: it would end at its first decision. None where there is no such
    freeze, or an admin gave the reason to override it."""
    by, freezes = release.requested_by, freezes_in_force(context)
    if not freezes:
        return None
    starter = replace(known_asker(context, by), home=by.team)
    start = Start(release.target, release.change, release.reason, freezes, release.rules)
    denied = denied_now(context, starter, ANYTHING, start)
    if denied is None or denied.freeze is None:
        return None
    return FreezeInForce(denied.freeze.line, denied.freeze.at, denied.freeze.until)


def wake_covered(context: Context, freezes: Iterable[Freeze]) -> None:
    """Releases show at once that a freeze begins or ends."""
    now = context.store.now()
    changed = tuple(in_clusters(context, one) for one in freezes)
    for release in context.store.active():
        target = release.target
        if any(one.covers(target.app, target.cluster) for one in changed):
            context.queue.wake(f"release:{release.id}", now)


def words_of(freeze: FreezeInForce | None) -> str:
    return freeze.words if freeze is not None else ""
