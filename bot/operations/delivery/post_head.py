"""The head of the audit's chain, out of reach for someone who writes to Redis: under the card of
each release that is over, and hourly in the catalog's audit channel. Never edited."""

from __future__ import annotations

import json
import logging

from bot.operations.context import Context
from bot.operations.delivery.budgets import MOVING
from bot.operations.delivery.post_once import post_once
from bot.ports import AuditHead, ChannelUnavailable, Message, RateLimited, SlackUnavailable
from bot.releases.facts.release import Release

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
POSTED_KNOWN_MS = 400 * 86_400_000
_POSTED = "the head that the audit channel has"


def post_head(context: Context, release: Release, channel: str, card_ts: str) -> int:
    """Once everything else is posted, and the release's end is sealed. Returns milliseconds to
    wait, 0 when there is nothing to do: the sealer wakes the delivery."""
    head = context.store.head_wanted(release.id) if release.phase.is_final else None
    if head is None:
        return 0
    posted = post_once(
        context,
        channel,
        f"{release.id}:audit",
        lambda: _message(context, head),
        rank=MOVING,
        thread_ts=card_ts,
    )
    if posted.ts:
        context.store.head_posted(release.id)
    return posted.wait_ms


def post_hourly_head(context: Context) -> None:
    """In the audit channel, where anything was recorded since. What Slack does not take now is
    posted at the next sweep."""
    channel, head = context.catalog.audit_channel, context.store.audit_head()
    hour = context.store.now() // HOUR_MS
    if not channel or not head.number or not _is_due(context, channel, head, hour):
        return
    try:
        posted = post_once(
            context,
            channel,
            f"audit:{channel}:{hour}",
            lambda: _message(context, head),
            rank=MOVING,
        )
    except (RateLimited, SlackUnavailable, ChannelUnavailable) as away:
        log.warning("%s is not posted in the audit channel: %s", head, away)
        return
    if posted.ts:
        known = json.dumps([channel, head.number, hour])
        context.store.put(_POSTED, known, ttl_ms=POSTED_KNOWN_MS)


def _is_due(context: Context, channel: str, head: AuditHead, hour: int) -> bool:
    known = context.store.peek(_POSTED)
    if known is None:
        return True
    last_channel, number, last_hour = json.loads(known)
    return bool(channel != last_channel or (head.number != number and hour != last_hour))


def _message(context: Context, head: AuditHead) -> Message:
    return context.render.notice(str(head))
