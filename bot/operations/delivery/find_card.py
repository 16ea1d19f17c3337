"""The link to a release's card."""

from __future__ import annotations

from bot.operations.context import Context
from bot.ports import ChannelUnavailable, MessageGone, RateLimited, SlackUnavailable


def find_card(context: Context, release_id: str) -> str:
    """ "" before the card is posted, or while Slack is away: nothing waits for a link."""
    return link_to(context, context.store.card(release_id))


def link_to(context: Context, card: tuple[str, str]) -> str:
    """``card``: channel and time stamp, as the store keeps them. Does not ask Redis."""
    channel, ts = card
    if not ts:
        return ""
    try:
        return context.messenger.permalink(channel, ts)
    except (ChannelUnavailable, MessageGone, RateLimited, SlackUnavailable):
        return ""
