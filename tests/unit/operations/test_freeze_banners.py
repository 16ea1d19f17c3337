"""The message of a freeze says how things stand: in force until when, lifted, or over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.operations.context import Catalog, Context
from bot.operations.delivery.edit_banners import edit_banners
from bot.operations.queries.run_query import run_query
from bot.policy.permissions import Access, Grant, Role
from bot.ports import ChannelUnavailable, SlackUnavailable
from bot.query import ReplyTo
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import DEVELOPER, T0, a_query
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

HOUR_MS = 3_600_000
CHANNEL = ReplyTo("C0RELEASES", response_url="https://hooks.slack.com/1", in_channel=True)


class Office:
    def __init__(self) -> None:
        self.now = T0
        self.store, self.messenger = (
            InMemoryReleaseStore(clock=lambda: self.now),
            RecordingMessenger(),
        )
        unused = cast(Any, None)
        access = Access(roles={Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user}))})
        self.context = Context(
            self.store,
            self.store.queue,
            unused,
            self.messenger,
            InMemoryDirectory(),
            Catalog({}, ("local",), access),
            SlackRendering(),
            unused,
        )

    def ask(self, command: FreezeCommand | UnfreezeCommand) -> None:
        run_query(self.context, replace(a_query(command), apps=(), reply_to=CHANNEL))

    def edits(self) -> list[str]:
        return [one.message.text for one in self.messenger.sent if one.how == "edit"]


def test_a_freeze_shows_its_end_and_a_button_that_lifts_it() -> None:
    office = Office()
    office.ask(FreezeCommand("all", "incident", for_ms=HOUR_MS))
    (banner,) = office.messenger.sent
    assert (banner.how, banner.where) == ("post", "C0RELEASES")
    blocks = json.dumps(banner.message.blocks)
    assert f"<!date^{(T0 + HOUR_MS) // 1000}^" in blocks and "Unfreeze" in blocks


def test_a_lifted_freeze_loses_its_button_and_names_who_lifted_it() -> None:
    office = Office()
    office.ask(FreezeCommand("all", "incident"))
    office.ask(UnfreezeCommand("all"))
    *_, edit, reply = office.messenger.sent
    assert edit.how == "edit" and edit.thread_ts == "1.0"
    assert f"lifted by {DEVELOPER.display_name}" in edit.message.text
    assert "actions" not in [block["type"] for block in edit.message.blocks]
    assert reply.message.text == "all is no longer frozen"


def test_a_freeze_that_expired_says_so_once() -> None:
    office = Office()
    office.ask(FreezeCommand("all", "incident", for_ms=HOUR_MS))
    edit_banners(office.context)
    assert not office.edits()
    office.now += HOUR_MS
    edit_banners(office.context)
    edit_banners(office.context)
    (edit,) = office.edits()
    assert "all is no longer frozen" in edit and "it ended at" in edit


def test_a_freeze_that_another_replaced_says_so() -> None:
    office = Office()
    office.ask(FreezeCommand("all", "incident", for_ms=HOUR_MS))
    office.now += 1
    office.ask(FreezeCommand("all", "longer"))
    assert "another freeze took its place" in office.edits()[0]


def test_a_channel_without_the_bot_still_gets_the_reply() -> None:
    office = Office()
    office.messenger.refusals = [ChannelUnavailable("not_in_channel")]
    office.ask(FreezeCommand("all", "incident"))
    (reply,) = office.messenger.sent
    assert reply.how == "respond" and "all is frozen" in reply.message.text


def test_a_banner_is_edited_later_where_slack_is_away() -> None:
    office = Office()
    office.ask(FreezeCommand("all", "incident", for_ms=HOUR_MS))
    office.now += HOUR_MS
    office.messenger.refusals = [SlackUnavailable("503")]
    edit_banners(office.context)
    assert not office.edits()
    edit_banners(office.context)
    assert len(office.edits()) == 1
