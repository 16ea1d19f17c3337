"""The link to a release's card."""

from __future__ import annotations

from bot.operations.context import Context
from bot.ports import ChannelUnavailable, MessageGone, RateLimited, SlackUnavailable


def find_card(context: Context, release_id: str) -> str:
    """ "" before the card is posted, or while Slack is away: nothing waits for a link."""
    channel, ts = context.store.card(release_id)
    if not ts:
        return ""
    try:
        return context.messenger.permalink(channel, ts)
    except (ChannelUnavailable, MessageGone, RateLimited, SlackUnavailable):
        return ""
