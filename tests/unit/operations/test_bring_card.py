"""A card far up in its channel comes down again, and its old place leads there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.delivery.bring_card import bring_card
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.replies import Refusal, TextReply
from bot.ports import SlackUnavailable
from bot.releases.facts.release import Release
from tests.builders import a_release
from tests.conftest import eventually
from tests.unit.operations.test_deliver import Desk, desk

__all__ = ["desk"]


@pytest.fixture
def running(desk: Desk) -> Release:
    draft = replace(a_release(), id="", version=0, channel="C0RELEASES")
    release = desk.store.create(draft, dedup_key="", same_as="", operation="create").release
    eventually(lambda: deliver_release(desk.context, release.id) is None)
    return release


def has_settled(desk: Desk, release: Release) -> bool:
    return deliver_release(desk.context, release.id) is None


def test_the_card_is_posted_anew_and_the_old_one_leads_there(desk: Desk, running: Release) -> None:
    _, before = desk.store.card(running.id)
    reply = bring_card(desk.context, running)
    assert isinstance(reply, TextReply) and reply.on_card
    eventually(lambda: has_settled(desk, running))
    channel, after = desk.store.card(running.id)
    assert after != before
    (left,) = (one for one in desk.sent("edit") if one.thread_ts == before)
    assert desk.messenger.permalink(channel, after) in str(left.message.blocks)
    assert "actions" not in [block["type"] for block in left.message.blocks]


def test_later_edits_go_to_the_new_place(desk: Desk, running: Release) -> None:
    bring_card(desk.context, running)
    eventually(lambda: has_settled(desk, running))
    desk.store.save(replace(running, reason="new"), (), operation="save")
    eventually(lambda: has_settled(desk, running))
    last = desk.sent("edit")[-1]
    assert last.thread_ts == desk.store.card(running.id)[1]


def test_a_post_whose_reply_was_lost_is_found_in_the_new_place(
    desk: Desk, running: Release
) -> None:
    _, before = desk.store.card(running.id)
    bring_card(desk.context, running)
    eventually(lambda: has_settled(desk, running))
    _, after = desk.store.card(running.id)
    desk.store.record_card(running.id, channel="C0RELEASES", ts="")
    eventually(lambda: has_settled(desk, running))
    assert desk.store.card(running.id)[1] == after != before


def test_a_second_click_brings_nothing(desk: Desk, running: Release) -> None:
    bring_card(desk.context, running)
    eventually(lambda: has_settled(desk, running))
    again = bring_card(desk.context, running)
    assert isinstance(again, Refusal) and "a moment ago" in again.line


def test_slack_away_leaves_the_old_place_for_later(desk: Desk, running: Release) -> None:
    bring_card(desk.context, running)
    desk.messenger.refusals = [SlackUnavailable("503")]
    assert deliver_release(desk.context, running.id)
    eventually(lambda: has_settled(desk, running))
    assert desk.store.card(running.id)[1]
