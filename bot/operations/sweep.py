"""Every half minute: what nothing woke is woken, what was not told is told."""

from __future__ import annotations

import logging

from bot.operations.context import Context

log = logging.getLogger(__name__)

EVERY_MS = 30_000


def sweep(context: Context) -> int:
    """Returns when to sweep again. Waking is idempotent and the earliest wins, so this never delays anything."""
    now = context.store.now()
    for release in context.store.active():
        context.queue.wake(f"release:{release.id}", now + EVERY_MS)
    for release in (*context.store.active(), *context.store.recent(limit=50)):
        announcements, dirty = context.store.outbox(release.id)
        if announcements or dirty:
            context.queue.wake(f"deliver:{release.id}", now)
    for repair in context.store.reconcile():
        log.warning("%s", repair)
    return now + EVERY_MS
