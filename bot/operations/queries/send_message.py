"""A worker's reply, to where its request came from."""

from __future__ import annotations

from bot.operations.context import Context
from bot.policy.permissions import is_direct
from bot.ports import Message
from bot.query import ReplyTo


def send_message(
    context: Context, user: str, to: ReplyTo, message: Message, *, in_channel: bool
) -> None:
    """``in_channel``: for everyone there. Raises RateLimited, SlackUnavailable,
    ChannelUnavailable."""
    messenger = context.messenger
    if to.response_url:
        messenger.respond(to.response_url, message, in_channel=in_channel)
    elif not to.channel or is_direct(to.channel):
        messenger.direct(user, message)  # from the home tab or in person
    elif in_channel:
        messenger.post(to.channel, message, thread_ts=to.thread_ts)
    else:
        messenger.post_privately(to.channel, user, message, thread_ts=to.thread_ts)
