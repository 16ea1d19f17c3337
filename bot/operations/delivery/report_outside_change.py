"""Something outside Pilothouse rolled, scaled or paused an app: its channel gets one line, however
many watchers observed the change."""

from __future__ import annotations

import hashlib
import json

from bot.operations.context import Context
from bot.operations.delivery.budgets import MOVING
from bot.operations.delivery.post_once import post_once
from bot.ports import ChannelUnavailable, RateLimited, SlackUnavailable

KEPT_MS = 3_600_000
RETRY_MS = 5_000
ONCE_WITHIN_MS = 60_000


def queue_outside_change(context: Context, channel: str, line: str) -> None:
    """Called by the watcher, which does not post to Slack: queue the line for a worker. Repeats
    within a minute are dropped; calling again after an error is safe."""
    key = hashlib.sha256(f"{channel} {line}".encode()).hexdigest()[:16]
    if context.store.peek(f"told:{key}") is not None:
        return
    now = context.store.now()
    if context.store.peek(f"noticed:{key}") is None:
        context.store.put(f"noticed:{key}", json.dumps([channel, line, now]), ttl_ms=KEPT_MS)
    context.queue.wake(f"noticed:{key}", now)


def report_outside_change(context: Context, key: str) -> int | None:
    """Returns when to try again (milliseconds of Redis TIME), None when it is posted."""
    kept = context.store.peek(f"noticed:{key}")
    if kept is None:
        return None
    channel, line, noticed_at = json.loads(kept)
    name = f"noticed:{key}:{noticed_at}"
    try:
        posted = post_once(context, channel, name, lambda: context.render.notice(line), rank=MOVING)
        wait_ms = posted.wait_ms
    except RateLimited as limited:
        wait_ms = limited.retry_after_ms
    except SlackUnavailable:
        wait_ms = RETRY_MS
    except ChannelUnavailable:
        wait_ms = 0  # nobody is there to read it
    if wait_ms:
        return context.store.now() + wait_ms
    context.store.put(f"told:{key}", "1", ttl_ms=ONCE_WITHIN_MS)
    context.store.take(f"noticed:{key}")
    return None
