"""One message in a channel, once: find it, book the budget, record the attempt, post.

A post whose reply was lost is found again by the key in the message's metadata.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.operations.context import Context
from bot.operations.delivery.budgets import posts_in
from bot.ports import Message, RateLimited

ATTEMPT_KEPT_MS = 3_600_000


@dataclass(frozen=True)
class Posted:
    """``ts`` "": not posted yet, ask again after ``wait_ms``. ``is_fresh``: posted by this call."""

    ts: str = ""
    wait_ms: int = 0
    is_fresh: bool = False


def post_once(
    context: Context,
    channel: str,
    key: str,
    make: Callable[[], Message],
    *,
    rank: int,
    thread_ts: str = "",
    attempt: str = "1",
) -> Posted:
    """``attempt`` is what ``attempt_at`` returns from then on. Raises ChannelUnavailable,
    SlackUnavailable."""
    if attempt_at(context, key) is not None:
        found = context.messenger.find_posted(channel, key=key, thread_ts=thread_ts)
        if found:
            return Posted(found)
    wait_ms = context.store.book(posts_in(channel), key, rank=rank)
    if wait_ms:
        return Posted(wait_ms=wait_ms)
    context.store.put(f"posting:{key}", attempt, ttl_ms=ATTEMPT_KEPT_MS)
    try:
        ts = context.messenger.post(channel, keyed(make(), key), thread_ts=thread_ts)
    except RateLimited as limited:
        context.store.close(posts_in(channel), for_ms=limited.retry_after_ms)
        return Posted(wait_ms=limited.retry_after_ms)
    return Posted(ts, is_fresh=True)


def attempt_at(context: Context, key: str) -> str | None:
    """What was recorded before the last attempt to post this, None before the first."""
    return context.store.peek(f"posting:{key}")


def keyed(message: Message, key: str) -> Message:
    return replace(message, metadata={"event_type": "pilothouse", "event_payload": {"key": key}})
