"""Every half minute: wake the releases and the deliveries that nothing else woke, and keep the
memberships that are needed when Slack goes away."""

from __future__ import annotations

import logging

from bot.operations.access.roles import keep_known
from bot.operations.context import Context

log = logging.getLogger(__name__)

EVERY_MS = 30_000


def sweep(context: Context) -> int:
    """Returns when to sweep again."""
    for repair in context.store.reconcile():
        log.warning("%s", repair)
    keep_known(context)
    return context.store.now() + EVERY_MS
