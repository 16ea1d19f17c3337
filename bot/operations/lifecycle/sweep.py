"""Every half minute: wake the releases, the requests to start and the deliveries that nothing else
woke, keep the memberships that are needed when Slack goes away, edit banners of freezes that are
over, and post the head of the audit."""

from __future__ import annotations

import logging

from bot.operations.access.roles import keep_known
from bot.operations.context import Context
from bot.operations.delivery.edit_banners import edit_banners
from bot.operations.delivery.post_head import post_hourly_head

log = logging.getLogger(__name__)

EVERY_MS = 30_000


def sweep(context: Context) -> int:
    """Returns when to sweep again."""
    for repair in context.store.reconcile():
        log.warning("%s", repair)
    for app in context.catalog.apps:
        if context.store.next_to_start(app) is not None:
            context.queue.wake(f"start:{app}", context.store.now())
    for one in context.store.active():
        if one.held is not None:  # a freeze, or its app, may have come to an end
            context.queue.wake(f"release:{one.id}", context.store.now())
    keep_known(context)
    edit_banners(context)
    post_hourly_head(context)
    return context.store.now() + EVERY_MS
