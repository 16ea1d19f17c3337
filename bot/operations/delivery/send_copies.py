"""Copies of a failure, for the further channels that the catalog names and for the person who
started the release. People decide on the card, so a copy only leads there."""

from __future__ import annotations

from bot.operations.context import Context, log
from bot.operations.delivery.budgets import OVER
from bot.operations.delivery.post_once import post_once
from bot.operations.delivery.send_notices import send_directly, without_buttons
from bot.ports import ChannelUnavailable, Message
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Release
from bot.releases.facts.rules import STARTER

COPIED_KNOWN_MS = 3_600_000


def places_of_copies(
    context: Context, release: Release, event: Event, *, channel: str, key: str
) -> tuple[str, ...]:
    """Those that may still lack one; ``channel`` has the message itself."""
    places = tuple(place for place in release.rules.failure_to if place != channel)
    if event.kind is not EventKind.FAILURE or not places:
        return ()
    return () if context.store.peek(_sent(key)) is not None else places


def send_copies(
    context: Context,
    release: Release,
    event: Event,
    message: Message,
    places: tuple[str, ...],
    *,
    key: str,
) -> int:
    """Each place once. Returns milliseconds to wait, 0 when all are sent. Raises
    SlackUnavailable."""
    if STARTER in places:
        send_directly(context, release, event, [release.requested_by.user], message)
    copy = without_buttons(message)
    for place in places:
        wait_ms = 0 if place == STARTER else post_copy(context, place, f"{key}:{place}", copy)
        if wait_ms:
            return wait_ms
    if places:
        context.store.put(_sent(key), "1", ttl_ms=COPIED_KNOWN_MS)
    return 0


def _sent(key: str) -> str:
    return f"copied:{key}"


def post_copy(context: Context, channel: str, key: str, copy: Message) -> int:
    """Returns milliseconds to wait, 0 when it is there. A channel that takes no messages costs its
    copy, and nothing else. Raises SlackUnavailable."""
    try:
        return post_once(context, channel, key, lambda: copy, rank=OVER).wait_ms
    except ChannelUnavailable as error:
        log.warning("no copy of %s in %s: %s", key, channel, error)
        return 0
