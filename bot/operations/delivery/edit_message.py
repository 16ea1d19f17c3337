"""One edit of a message, within Slack's limits."""

from __future__ import annotations

from collections.abc import Callable

from bot.operations.context import Context
from bot.operations.delivery.budgets import EDITS, WAITED_FOR
from bot.ports import Message, RateLimited


def edit_message(
    context: Context,
    key: str,
    channel: str,
    ts: str,
    render: Callable[[], Message],
    *,
    rank: int = WAITED_FOR,
) -> int:
    """Returns milliseconds to wait, 0 when it is done. ``key`` names the message in the budget;
    nothing is rendered before its turn. Raises MessageGone, ChannelUnavailable,
    SlackUnavailable."""
    wait = context.store.book(EDITS, key, rank=rank)
    if wait:
        return wait
    try:
        context.messenger.edit(channel, ts, render())
    except RateLimited as limited:
        context.store.close(EDITS, for_ms=limited.retry_after_ms)
        return limited.retry_after_ms
    return 0
