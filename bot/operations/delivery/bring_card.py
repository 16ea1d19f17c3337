"""A card that is far up in its channel is posted anew at the bottom, and the old message leads
there."""

from __future__ import annotations

from contextlib import suppress

from bot.operations.context import Context
from bot.operations.delivery.edit_message import edit_message
from bot.operations.delivery.find_card import find_card
from bot.operations.replies import Refusal, Reply, TextReply
from bot.ports import ChannelUnavailable, Message, MessageGone
from bot.releases.facts.release import Release

BROUGHT_AGAIN_MS = 30_000
KEPT_MS = 30 * 86_400_000


def bring_card(context: Context, release: Release) -> Reply:
    """A worker posts it."""
    channel, ts = context.store.card(release.id)
    if not ts:
        return Refusal(f"The card of {release.id} is about to be posted.")
    if not context.store.put_new(
        f"bringing:{release.id}", context.runtime.new_id(), ttl_ms=BROUGHT_AGAIN_MS
    ):
        return Refusal(f"The card of {release.id} was brought down a moment ago.")
    context.store.put(_last(release), ts, ttl_ms=KEPT_MS)
    context.store.put(_left(release), ts, ttl_ms=KEPT_MS)
    context.store.record_card(release.id, channel=channel, ts="")
    context.queue.wake(f"deliver:{release.id}", context.store.now())
    return TextReply(f"The card of {release.id} follows.", on_card=True)


def card_key(context: Context, release: Release) -> str:
    """What the card carries, so that it is found again: each place has a key of its own."""
    before = context.store.peek(_last(release))
    return f"{release.id}:card:{before}" if before else f"{release.id}:card"


def point_to_card(context: Context, release: Release) -> int:
    """Edit the message that the card left. Returns milliseconds to wait, 0 when it is done."""
    ts = context.store.peek(_left(release))
    if not ts:
        return 0

    def moved() -> Message:
        return context.render.moved_card(release, find_card(context, release.id))

    wait = 0
    with suppress(MessageGone, ChannelUnavailable):
        wait = edit_message(context, f"{release.id}:left", release.channel, ts, moved)
    if not wait:
        context.store.take(_left(release))
    return wait


def _last(release: Release) -> str:
    return f"card before:{release.id}"


def _left(release: Release) -> str:
    return f"card left:{release.id}"
