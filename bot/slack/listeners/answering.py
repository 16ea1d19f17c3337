"""What listeners share: the context, rendering of replies, and sending after the
acknowledgement."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.operations.context import Context
from bot.operations.replies import ListingReply, OpenFormReply, Pending, Refusal, Reply, TextReply
from bot.operations.requests import Click
from bot.ports import (
    ChannelUnavailable,
    Message,
    MessageGone,
    RateLimited,
    SlackUnavailable,
    StoreUnavailable,
)
from bot.releases.facts.people import Person

_log = logging.getLogger(__name__)


@dataclass
class Answering:
    """``context`` is another one once the configuration has changed."""

    context: Context
    later: Executor

    def message(self, reply: Reply) -> Message:
        return self.context.render.reply(reply, now=self._now(reply))

    def _now(self, reply: Reply) -> int:
        """Only listings show ages; every other reply works without Redis."""
        return self.context.store.now() if isinstance(reply, ListingReply) else 0

    def after(self, send: Callable[[], object]) -> None:
        """Runs after the acknowledgement. Failures are logged, for no caller waits for them."""

        def run() -> None:
            try:
                send()
            except (
                RateLimited,
                ChannelUnavailable,
                MessageGone,
                SlackUnavailable,
                StoreUnavailable,
            ) as error:
                _log.warning("a reply was not delivered: %s", error)
            except RuntimeError:
                _log.exception("a reply failed")

        self.later.submit(run)

    def respond(self, response_url: str, reply: Reply) -> None:
        if response_url and not isinstance(reply, Pending):
            message, in_channel = (
                self.message(reply),
                isinstance(reply, TextReply) and reply.in_channel,
            )
            self.after(
                lambda: self.context.messenger.respond(response_url, message, in_channel=in_channel)
            )

    def answer(self, click: Click, reply: Reply) -> None:
        """Beside the button, through its response_url, which buttons of the home tab lack."""
        if click.response_url:
            if not (isinstance(reply, TextReply) and reply.on_card):
                self.respond(click.response_url, reply)
        else:
            self.reply(click.person.user, click.channel, reply)

    def reply(self, user: str, channel: str, reply: Reply) -> None:
        """To the person alone: in the channel, or in direct messages from the home tab."""
        if isinstance(reply, Pending):
            return
        message, messenger = self.message(reply), self.context.messenger
        self.after(
            lambda: (
                messenger.post_privately(channel, user, message)
                if channel
                else messenger.direct(user, message)
            )
        )

    def in_person(self, user: str, reply: Reply) -> None:
        self.reply(user, "", reply)

    def in_thread(self, channel: str, user: str, thread_ts: str, reply: Reply) -> None:
        """To a mention: refusals go to the person alone, other replies to the thread."""
        if isinstance(reply, Pending):
            return
        message, messenger = self.message(reply), self.context.messenger
        post_privately = partial(
            messenger.post_privately, channel, user, message, thread_ts=thread_ts
        )
        if isinstance(reply, Refusal | OpenFormReply):
            self.after(post_privately)
            return

        def answer() -> None:
            try:
                messenger.post(channel, message, thread_ts=thread_ts)
            except RateLimited:  # the channel is full for now; the person still gets the reply
                post_privately()

        self.after(answer)


def person_of(body: Mapping[str, Any]) -> Person:
    """The person behind a slash command, a click or a view; identity is (team, user)."""
    user = body.get("user")
    if isinstance(user, Mapping):
        name = user.get("username") or user.get("name") or ""
        return Person(str(user.get("team_id") or ""), str(user.get("id", "")), str(name))
    return Person(
        str(body.get("team_id", "")), str(body.get("user_id", "")), str(body.get("user_name", ""))
    )


def ack_body(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": [dict(block) for block in message.blocks]}
