"""The home tab: what it shows to whom, and the form that it opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.delivery.send_notices import wish_of
from sandbox.slack import LocalSlack
from tests.conftest import eventually
from tests.unit.slack.conftest import CHANNEL, Bot

FILLED_IN = {"app": {"deploy_app": "hello"}, "version": {"deploy_version": "2.0.0"}}


def home_of(slack: LocalSlack, user: str) -> dict[str, Any]:
    slack.open_home(user)
    slack.wait_for(lambda: slack.home(user) is not None, what="the home tab")
    view = slack.home(user)
    assert view is not None
    return view


def form_button(view: Mapping[str, Any]) -> dict[str, Any]:
    (button,) = (
        one for block in view["blocks"] if block["type"] == "actions" for one in block["elements"]
    )
    return dict(button)


def press_form_button(slack: LocalSlack, user: str, view: Mapping[str, Any]) -> dict[str, Any]:
    button = form_button(view)
    return slack.choose(user, view["id"], button["action_id"], button["value"])


def direct_messages(slack: LocalSlack, user: str) -> list[str]:
    opened = [
        call
        for call in slack.log(kind="call", name="conversations.open")
        if call["request"]["users"] == user
    ]
    return [
        m["text"]
        for call in opened
        for m in slack.messages(call["response"]["channel"]["id"], user=user)
    ]


def test_it_shows_what_runs_with_a_link_to_its_card(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    assert eventually(lambda: deliver_release(bot.context, "hello-1") is None)
    address = bot.context.messenger.permalink(*bot.store.card("hello-1"))
    assert f"<{address}|hello-1>" in json.dumps(home_of(slack, "U0DEV1"))


def test_its_first_block_opens_the_form(bot: Bot, slack: LocalSlack) -> None:
    view = home_of(slack, "U0DEV1")
    assert view["blocks"][0]["elements"][0]["text"]["text"] == "Release an app"
    pressed = press_form_button(slack, "U0DEV1", view)
    assert pressed["ack_ms"] < 3_000
    assert [one["callback_id"] for one in slack.views("U0DEV1")] == ["deploy"]


def test_the_home_tabs_form_starts_a_release_and_the_receipt_names_its_channel(
    bot: Bot, slack: LocalSlack
) -> None:
    press_form_button(slack, "U0DEV1", home_of(slack, "U0DEV1"))
    slack.submit("U0DEV1", FILLED_IN)
    (release,) = bot.store.active()
    assert (release.change.kind, release.channel) == ("deploy", CHANNEL)
    receipt = f"hello → 2.0.0 rolling: started as hello-1. Its card follows in <#{CHANNEL}>."
    slack.wait_for(
        lambda: receipt in direct_messages(slack, "U0DEV1"), what="the receipt in direct messages"
    )
    assert not [m for m in slack.messages(CHANNEL, user="U0DEV1") if "started as" in m["text"]]


def test_an_app_without_a_channel_is_not_released_from_there(bot: Bot, slack: LocalSlack) -> None:
    apps = bot.context.catalog.apps
    assert isinstance(apps, dict)
    apps["hello"] = replace(apps["hello"], channel="")
    press_form_button(slack, "U0DEV1", home_of(slack, "U0DEV1"))
    answer = slack.submit("U0DEV1", FILLED_IN)
    assert "no channel for its card" in json.dumps(answer)
    assert not bot.store.active()


@pytest.mark.parametrize("user", ["U0VIEWER", "U0MANAGER"])
def test_people_who_may_not_release_get_no_form(bot: Bot, slack: LocalSlack, user: str) -> None:
    assert "actions" not in [block["type"] for block in home_of(slack, user)["blocks"]]


def test_losing_the_right_to_release_is_explained_in_person(bot: Bot, slack: LocalSlack) -> None:
    view = home_of(slack, "U0DEV1")
    bot.context.catalog.access.roles.clear()  # type: ignore[attr-defined]  # the catalog was changed meanwhile
    press_form_button(slack, "U0DEV1", view)
    assert slack.views("U0DEV1") == []
    slack.wait_for(
        lambda: any("You need the" in text for text in direct_messages(slack, "U0DEV1")),
        what="why not",
    )


def test_direct_messages_are_chosen_in_the_home_tab(bot: Bot, slack: LocalSlack) -> None:
    view = home_of(slack, "U0MANAGER")
    select = next(block["accessory"] for block in view["blocks"] if block.get("accessory"))
    assert json.loads(select["initial_option"]["value"]) == {"what": "mine"}
    every = next(one for one in select["options"] if json.loads(one["value"]) == {"what": "all"})
    slack.choose("U0MANAGER", view["id"], select["action_id"], every)
    assert eventually(lambda: wish_of(bot.context, "U0MANAGER") == "all")
