"""Somebody rolled, scaled or paused an app past the bot: its channel is told, once, however many
watchers saw it."""

from __future__ import annotations

import hashlib
import json

from bot.operations.context import Context
from bot.operations.delivery.budgets import MOVING, posts_in
from bot.ports import ChannelUnavailable, Message, RateLimited, SlackUnavailable

KEPT_MS = 3_600_000
RETRY_MS = 5_000
ONCE_WITHIN_MS = 60_000


def queue_outside_change(context: Context, channel: str, line: str) -> None:
    """Called by the watcher, which does not speak to Slack: leaves the line for a worker to tell.
    Twice within a minute is once; called again after an error it leaves nothing out."""
    key = hashlib.sha256(f"{channel} {line}".encode()).hexdigest()[:16]
    if context.store.peek(f"told:{key}") is not None:
        return
    now = context.store.now()
    if context.store.peek(f"noticed:{key}") is None:
        context.store.put(f"noticed:{key}", json.dumps([channel, line, now]), ttl_ms=KEPT_MS)
    context.queue.wake(f"noticed:{key}", now)


def report_outside_change(context: Context, key: str) -> int | None:
    """Returns when to try again (milliseconds of Redis TIME), None when it is told."""
    kept = context.store.peek(f"noticed:{key}")
    if kept is None:
        return None
    channel, line, noticed_at = json.loads(kept)
    plain, name = context.render.notice(line), f"noticed:{key}:{noticed_at}"
    metadata = {"event_type": "pilothouse", "event_payload": {"key": name}}
    try:
        attempted = context.store.peek(f"posting:{name}")
        if not attempted or not context.messenger.find_posted(channel, key=name):
            wait = context.store.book(posts_in(channel), f"noticed:{key}", rank=MOVING)
            if wait:
                return context.store.now() + wait
            context.store.put(f"posting:{name}", "1", ttl_ms=KEPT_MS)
            context.messenger.post(channel, Message(plain.text, plain.blocks, metadata))
    except RateLimited as limited:
        context.store.close(posts_in(channel), for_ms=limited.retry_after_ms)
        return context.store.now() + limited.retry_after_ms
    except SlackUnavailable:
        return context.store.now() + RETRY_MS
    except ChannelUnavailable:
        pass  # nobody there to be told
    context.store.put(f"told:{key}", "1", ttl_ms=ONCE_WITHIN_MS)
    context.store.take(f"noticed:{key}")
    return None
