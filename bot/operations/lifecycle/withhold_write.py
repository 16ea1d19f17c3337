"""A write that would break a promise is a defect of Pilothouse: it is not sent, counted and
reported, and its release stands still."""

from __future__ import annotations

import logging

from bot.operations.context import Context
from bot.releases.engine.promises import BrokenPromise, withhold
from bot.releases.facts.release import Release

log = logging.getLogger(__name__)


def withhold_write(context: Context, release: Release, broken: BrokenPromise) -> int | None:
    """Returns when to observe again."""
    log.error("release=%s withheld a write (%s): %s", release.id, broken.promise, broken.line)
    decision = withhold(release, broken, context.store.now())
    if decision.release != release:
        context.store.count(f"withheld:{broken.promise}")
    if decision.release != release or decision.events:
        operation = context.runtime.new_id()
        context.store.save(decision.release, decision.events, operation=operation)
    return decision.wake_at
