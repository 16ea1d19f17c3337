"""The home tab: what it shows to whom, and the form that it opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.commands.model import RolloutCommand
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.delivery.send_notices import wish_of
from bot.slack.home_tab import publish_home
from sandbox.slack import LocalSlack
from tests.blocks.stories import HOLDING
from tests.builders import ADMIN, a_release, a_target
from tests.conftest import eventually
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.unit.slack.conftest import CHANNEL, Bot
from tests.unit.slack.test_conversation import waiting_for_approval

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
    receipt = f"hello → 2.0.0 rolling: started as hello-1. Its card is in <#{CHANNEL}>."
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
    select = next(
        block["accessory"]
        for block in view["blocks"]
        if block.get("accessory", {}).get("action_id") == "release:notices"
    )
    assert json.loads(select["initial_option"]["value"]) == {"what": "mine"}
    every = next(one for one in select["options"] if json.loads(one["value"]) == {"what": "all"})
    slack.choose("U0MANAGER", view["id"], select["action_id"], every)
    assert eventually(lambda: wish_of(bot.context, "U0MANAGER") == "all")


def test_redis_is_read_before_slack_is_asked_for_links(bot: Bot) -> None:
    asked: list[str] = []

    class NotingStore(InMemoryReleaseStore):
        def card(self, release_id: str) -> tuple[str, str]:
            asked.append("redis")
            return CHANNEL, "1.0"

    class NotingMessenger(RecordingMessenger):
        def permalink(self, channel: str, ts: str) -> str:
            asked.append("slack")
            return super().permalink(channel, ts)

    store, messenger = NotingStore(), NotingMessenger()
    for app in ("hello", "auth"):
        draft = a_release(target=a_target(app=app, deployment=app))
        store.create(
            replace(draft, id="", channel=CHANNEL), dedup_key=app, same_as="", operation=app
        )
    context = replace(bot.context, store=store, messenger=messenger, queue=store.queue)
    asked.clear()
    publish_home(context, replace(ADMIN, team="T0LOCAL"))
    assert asked.count("slack") == 2 and asked == sorted(asked)  # redis before slack


# --- what waits, what runs where, what is frozen --------------------------------------------------


def texts_of(view: Mapping[str, Any]) -> str:
    return json.dumps(view["blocks"], ensure_ascii=False)


def button_named(view: Mapping[str, Any], label: str) -> dict[str, Any]:
    inside = (
        [*block.get("elements", []), block.get("accessory") or {}] for block in view["blocks"]
    )
    found = [one for many in inside for one in many if one.get("type") == "button"]
    return next(one for one in found if one["text"]["text"] == label)


def test_a_promotion_that_waits_is_given_in_the_home_tab(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    view = home_of(slack, "U0MANAGER")
    assert button_named(view, "Reject")
    promote = button_named(view, "Promote")
    slack.choose("U0MANAGER", view["id"], promote["action_id"], promote["value"])
    slack.wait_for(
        lambda: "Nothing is waiting for you." in json.dumps(slack.home("U0MANAGER")),
        what="the home tab without the question",
    )
    gate = bot.store.load(release.id).progress.gate
    assert gate is not None and [vote.by.user for vote in gate.votes] == ["U0MANAGER"]


def test_it_shows_nothing_of_channels_that_the_viewer_is_not_in(
    bot: Bot, slack: LocalSlack
) -> None:
    apps = bot.context.catalog.apps
    assert isinstance(apps, dict)
    apps["auth"] = replace(apps["auth"], channel="C0SECRET")
    bot.store.create(
        replace(HOLDING, target=replace(HOLDING.target, app="auth"), channel="C0SECRET"),
        dedup_key="",
        same_as="",
        operation="secret",
    )
    bot.freeze("auth", by=ADMIN)
    assert "hello" in texts_of(home_of(slack, "U0VIEWER"))
    assert "auth" not in texts_of(home_of(slack, "U0VIEWER"))


def test_apps_have_their_version_health_and_a_button(bot: Bot, slack: LocalSlack) -> None:
    bot.store.create(replace(HOLDING, channel=CHANNEL), dedup_key="", same_as="", operation="1")
    view = home_of(slack, "U0DEV1")
    assert "2.0.0: 1 of 1 ready" in texts_of(view), texts_of(view)
    deploy = button_named(view, "Deploy")
    slack.choose("U0DEV1", view["id"], deploy["action_id"], deploy["value"])
    assert [one["callback_id"] for one in slack.views("U0DEV1")] == ["deploy"]


def test_a_freeze_is_shown_with_a_button_that_asks_the_same_rule(
    bot: Bot, slack: LocalSlack
) -> None:
    bot.freeze("hello", by=replace(ADMIN, team="T0LOCAL"))
    view = home_of(slack, "U0DEV1")
    assert "hello is frozen" in texts_of(view)
    lift = button_named(view, "Unfreeze")
    slack.choose("U0DEV1", view["id"], lift["action_id"], lift["value"])
    assert "An admin froze hello" in bot.answers()[0]


def test_three_hundred_apps_come_in_pages(bot: Bot, slack: LocalSlack) -> None:
    apps = bot.context.catalog.apps
    assert isinstance(apps, dict)
    for number in range(300):
        name = f"app{number:03}"
        apps[name] = replace(apps["hello"], target=replace(apps["hello"].target, app=name))
    view = home_of(slack, "U0DEV1")
    assert len(view["blocks"]) <= 100 and "Apps 1 to 20 of 302" in texts_of(view)
    pages = next(
        block["accessory"]
        for block in view["blocks"]
        if block.get("accessory", {}).get("action_id") == "release:page"
    )
    slack.choose("U0DEV1", view["id"], pages["action_id"], pages["options"][-1])
    slack.wait_for(
        lambda: "Apps 301 to 302 of 302" in json.dumps(slack.home("U0DEV1")), what="the last page"
    )


# --- direct messages ------------------------------------------------------------------------------


def say_directly(slack: LocalSlack, bot: Bot, user: str, text: str) -> str:
    bot.context.messenger.direct(user, bot.context.render.notice("hello"))
    channel = slack.log(kind="call", name="conversations.open")[-1]["response"]["channel"]["id"]
    slack.command(user, channel, text)
    return str(channel)


def reads(slack: LocalSlack, channel: str, user: str, words: str) -> None:
    slack.wait_for(
        lambda: any(words in m["text"] for m in slack.messages(channel, user=user)), what=words
    )


def test_a_direct_message_asks_what_runs(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    channel = say_directly(slack, bot, "U0VIEWER", "What is running?")
    reads(slack, channel, "U0VIEWER", "hello-1: hello → 2.0.0 rolling")


def test_a_direct_message_hears_that_nothing_runs(bot: Bot, slack: LocalSlack) -> None:
    channel = say_directly(slack, bot, "U0VIEWER", "what is running")
    reads(slack, channel, "U0VIEWER", "Nothing is running in your channels.")


def test_a_direct_message_asks_for_help(bot: Bot, slack: LocalSlack) -> None:
    reads(slack, say_directly(slack, bot, "U0VIEWER", "help"), "U0VIEWER", "Release a version")


def test_a_direct_message_asks_for_the_status_of_an_app(bot: Bot, slack: LocalSlack) -> None:
    say_directly(slack, bot, "U0VIEWER", "status hello")
    slack.wait_for(lambda: bot.queue.asked, what="the question")
    (query,) = bot.queue.asked
    assert (query.command, query.apps) == (RolloutCommand("status", "hello"), ("hello",))


def test_a_direct_message_changes_nothing(bot: Bot, slack: LocalSlack) -> None:
    channel = say_directly(slack, bot, "U0DEV1", "deploy hello 2.0.0")
    reads(slack, channel, "U0DEV1", "not taken in direct messages")
    assert not bot.store.active()
