"""A version whose front did not succeed leaves the line until people decide, so that nothing else
waits for it."""

from __future__ import annotations

from bot.operations.context import Context
from bot.operations.lifecycle.meet_freeze import freeze_that_refuses, words_of
from bot.operations.lifecycle.observe_end import Waits, observe_end
from bot.releases.engine.decision import Decision
from bot.releases.engine.queue import (
    drop_of_removed_app,
    front_that_holds,
    hold,
    stay_held,
    waits_behind,
)
from bot.releases.facts.release import Phase, Release

RECENT = 50
ASKED_ONCE_MS = 86_400_000


def hold_in_queue(context: Context, release: Release) -> Decision | None:
    """None where nothing holds it. Raises VersionConflict."""
    found = _decision(context, release)
    if found is None:
        return None
    decision = observe_end(context, release, found)
    if isinstance(decision, Waits):
        return Decision(release, wake_at=decision.wake_at)
    if decision.events or decision.release != release:
        operation = context.runtime.new_id()
        saved = context.store.save(decision.release, decision.events, operation=operation)
        if saved.phase is not Phase.QUEUED:
            return decision
    context.store.leave_line(release.id)
    return decision


def _decision(context: Context, release: Release) -> Decision | None:
    now = context.store.now()
    app, cluster = release.target.app, release.target.cluster
    if release.held is not None:
        if context.catalog.find(app, cluster) is None:
            return drop_of_removed_app(release, now)
        return stay_held(release, now, freeze_of_held(context, release))
    front = front_that_holds(release, context.store.recent(app, cluster, limit=RECENT))
    if front is None:
        return None
    asks = context.store.put_new(f"held:{front.id}", release.id, ttl_ms=ASKED_ONCE_MS)
    waiting = [
        one
        for one in context.store.active(app, cluster)
        if one.id == release.id or (waits_behind(one, front) and one.created_at < front.finished_at)
    ]
    return hold(release, front, waiting if asks else (), now)


def freeze_of_held(context: Context, release: Release) -> str:
    """The freeze that keeps a held version from continuing, in words; "" where there is none."""
    return words_of(freeze_that_refuses(context, release)) if release.held is not None else ""


def decided_key(front: str) -> str:
    """Where the store keeps that someone decided about all that ``front`` holds."""
    return f"queue-of:{front}"
