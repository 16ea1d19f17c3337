"""Suggestions as buttons, the buttons of the help, and commands for a state that has passed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.intake.handle_click import handle_click
from bot.operations.replies import OpenFormReply, Pending, Refusal, Reply
from bot.operations.requests import Click
from bot.releases.facts.card_snapshot import VersionCount
from bot.releases.facts.changes import Deploy
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from sandbox.slack import LocalSlack
from tests.blocks.stories import SUCCEEDED
from tests.unit.slack.conftest import CHANNEL, Bot
from tests.unit.slack.test_conversation import button_of, press, told


def test_a_suggestion_runs_as_if_typed(bot: Bot, slack: LocalSlack) -> None:
    answer = slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0 cannary steps=50")
    assert "Did you mean `canary`?" in answer["text"]
    assert not bot.store.active()
    press(slack, "/deploy hello 2.0.0 canary steps=50", user="U0DEV1")
    (release,) = bot.store.active()
    assert release.command == "deploy hello 2.0.0 canary steps=50"
    told(slack, "started as hello-1", user="U0DEV1")


def test_an_unknown_app_opens_the_filled_form_and_starts_nothing(
    bot: Bot, slack: LocalSlack
) -> None:
    typed = "/deploy helo 2.0.0 canary steps=50 hold=2m sticky"
    slack.command("U0DEV1", CHANNEL, typed)
    press(slack, f"Open the form: {typed.replace('helo', 'hello')}", user="U0DEV1")
    (view,) = slack.views("U0DEV1")
    assert not bot.store.active()
    slack.submit("U0DEV1", {}, view_id=view["id"])
    slack.wait_for(lambda: bool(bot.store.active()), what="the release of the form")
    (release,) = bot.store.active()
    assert isinstance(release.change, Deploy)
    assert (release.change.steps, release.change.hold_ms) == ((50,), 120_000)
    assert release.change.sticky


def test_an_app_like_no_other_gets_the_list_of_apps_only(bot: Bot, slack: LocalSlack) -> None:
    message = slack.command("U0DEV1", CHANNEL, "/deploy payments 2.0.0")["message"]
    labels = [e["text"]["text"] for b in message["blocks"] for e in b.get("elements", ())]
    assert labels == ["/pilothouse apps"]


def test_a_suggestion_that_lowers_a_version_asks_with_both_versions(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    release = bot.store.load("hello-1")
    versions = (VersionCount("stable", "2.0.0", True, 5, 5, 5),)
    ended = replace(
        release,
        phase=Phase.SUCCEEDED,
        card_snapshot=replace(release.card_snapshot, versions=versions),
        finished_at=bot.store.now(),
    )
    bot.store.save(ended, (), operation="over")
    message = slack.command("U0DEV1", CHANNEL, "/deploi hello 1.0.0")["message"]
    button = button_of(message, "/deploy hello 1.0.0")
    assert button is not None
    assert button["confirm"]["text"]["text"] == "hello 2.0.0 → 1.0.0, in default on local."


def test_an_ambiguous_command_gets_a_button_for_each_meaning(bot: Bot, slack: LocalSlack) -> None:
    answer = slack.command("U0DEV1", CHANNEL, "/deploy 2.0.0")
    assert [
        button_of(answer["message"], label) is not None
        for label in ("/deploy hello 2.0.0", "/deploy auth 2.0.0")
    ] == [True, True]
    press(slack, "/deploy auth 2.0.0", user="U0DEV1")
    assert [release.id for release in bot.store.active()] == ["auth-1"]
    press(slack, "/deploy hello 2.0.0", user="U0DEV1")
    told(slack, "That was chosen already", user="U0DEV1")
    assert len(bot.store.active()) == 1


def test_a_suggestion_carries_no_command_and_works_only_for_the_person_who_typed(
    bot: Bot, slack: LocalSlack
) -> None:
    message = slack.command("U0DEV1", CHANNEL, "/deploy 2.0.0")["message"]
    button = button_of(message, "/deploy hello 2.0.0")
    assert button is not None and set(json.loads(button["value"])) == {"token", "choice"}
    ts = bot.context.messenger.post(CHANNEL, bot.context.render.notice("a message for everybody"))
    forged = {
        "action_id": button["action_id"],
        "value": button["value"],
        "block_id": button["block_id"],
    }
    bot.context.messenger.edit(
        CHANNEL, ts, replace(bot.context.render.notice("x"), blocks=tuple(message["blocks"]))
    )
    slack.click("U0DEV2", CHANNEL, ts, **forged)
    told(slack, "Only the person who typed the command may choose", user="U0DEV2")
    assert not bot.store.active()


def test_pressing_a_suggestion_needs_the_role(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0MANAGER", CHANNEL, "/deploi hello 2.0.0")
    press(slack, "/deploy hello 2.0.0", user="U0MANAGER")
    told(slack, "You need the", user="U0MANAGER")
    assert not bot.store.active()


def test_help_buttons_reply_and_open_the_form(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/help")
    press(slack, "Apps", user="U0DEV1")
    slack.wait_for(
        lambda: [query.command.kind for query in bot.queue.asked] == ["apps"],
        what="the question asked of a worker",
    )
    press(slack, "Release an app", user="U0DEV1")
    (view,) = slack.views("U0DEV1")
    assert view["callback_id"] == "deploy"


def test_the_help_menu_explains_a_command(bot: Bot, slack: LocalSlack) -> None:
    message = slack.command("U0DEV1", CHANNEL, "/help")["message"]
    block, menu = next(
        (block, element)
        for block in message["blocks"]
        for element in block.get("elements", ())
        if element.get("type") == "static_select"
    )
    chosen = next(option for option in menu["options"] if option["text"]["text"] == "/scale")
    slack.click(
        "U0DEV1",
        CHANNEL,
        message["ts"],
        menu["action_id"],
        value=chosen,
        block_id=block["block_id"],
    )
    told(slack, "/scale APP N", user="U0DEV1")


def test_a_mention_without_a_version_offers_the_form(bot: Bot, slack: LocalSlack) -> None:
    asked = slack.command("U0DEV1", CHANNEL, "<@U0BOT> deploy auth")["message"]["ts"]

    def offered() -> bool:
        return any(
            button_of(m, "Open the form")
            for m in slack.messages(CHANNEL, user="U0DEV1", thread_ts=asked)
        )

    slack.wait_for(offered, what="the button of the form")


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_a_command_for_an_ended_release_says_how_it_ended(
    bot: Bot, slack: LocalSlack, verb: str
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    release = bot.store.load("hello-1")
    event = Event(bot.store.now(), EventKind.FINISHED, "over")
    bot.store.save(
        replace(release, phase=Phase.SUCCEEDED, finished_at=bot.store.now()),
        (event,),
        operation="over",
    )
    user = "U0DEV1" if verb == "abort" else "U0MANAGER"
    answer = slack.command(user, CHANNEL, f"/rollout {verb} hello")
    assert (
        "No release of hello is running; the last one, hello-1 to 2.0.0, succeeded"
        in answer["text"]
    )


def test_a_command_that_does_not_fit_names_the_state(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    assert (
        "hello-1 has nothing to promote now: queued."
        in slack.command("U0MANAGER", CHANNEL, "/rollout promote hello")["text"]
    )
    assert (
        "hello-1 is not paused: queued."
        in slack.command("U0DEV1", CHANNEL, "/rollout resume hello")["text"]
    )


def test_a_reply_in_a_rate_limited_channel_goes_to_the_person(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    deliver_release(bot.context, "hello-1")
    slack.fault("rate_limited", method="chat.postMessage", seconds=30)
    asked = slack.command("U0DEV1", CHANNEL, "<@U0BOT> releases")["message"]["ts"]
    slack.wait_for(
        lambda: any(
            "hello-1" in m["text"] for m in slack.messages(CHANNEL, user="U0DEV1", thread_ts=asked)
        ),
        what="the answer",
    )
    assert not any(
        "hello-1" in m["text"] for m in slack.messages(CHANNEL, user="U0MANAGER", thread_ts=asked)
    )


def ended(bot: Bot, app: str) -> Release:
    """A release of the app to 2.0.0 that succeeded."""
    draft = replace(SUCCEEDED, id="", version=0, phase=Phase.QUEUED, finished_at=0)
    draft = replace(draft, target=replace(draft.target, app=app), channel=CHANNEL)
    number = len(bot.store.recent())
    made = bot.store.create(draft, dedup_key="", same_as="", operation=f"made {number}").release
    over = replace(made, phase=Phase.SUCCEEDED, finished_at=bot.store.now())
    return bot.store.save(over, (), operation=f"over {number}")


def clicked(bot: Bot, action: str, release: Release) -> Reply:
    value = json.dumps({"release": release.id})
    person = Person("T0LOCAL", "U0DEV1", "developer")
    return handle_click(bot.context, Click(person, CHANNEL, action, value, "1.0"))


def test_roll_back_on_a_final_card_is_void_once_another_release_followed(bot: Bot) -> None:
    first = ended(bot, "hello")
    assert clicked(bot, "undo", first) == Pending()
    assert bot.store.next_to_start("hello") is not None
    ended(bot, "hello")
    again = clicked(bot, "undo", first)
    assert isinstance(again, Refusal) and "is not the last release of hello" in again.line


def test_retry_opens_the_filled_form_and_starts_nothing(bot: Bot) -> None:
    reply = clicked(bot, "retry", ended(bot, "hello"))
    assert isinstance(reply, OpenFormReply) and reply.filled is not None
    assert (reply.app, reply.filled.version) == ("hello", "2.0.0")
    assert not bot.store.active()
