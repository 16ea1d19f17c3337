"""Conversations beyond commands and clicks: a reason, a shared reply, a replaced release, threads,
strangers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from bot.commands.model import AppsCommand
from bot.operations.context import Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.intake.handle_click import handle_click
from bot.operations.intake.handle_command import handle_command
from bot.operations.queries.run_query import run_query
from bot.operations.replies import Refusal
from bot.operations.requests import Click, Invocation
from bot.policy.permissions import Access
from bot.query import ReplyTo
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import GateState, Phase, Progress, Release
from bot.slack.identity import SlackDirectory
from sandbox.slack import LocalSlack
from tests.blocks.stories import PROMOTING
from tests.builders import a_query
from tests.unit.slack.conftest import CHANNEL, Bot

SHARED = "C0SHARED"
"""A channel with people of another workspace in it."""


def button_of(message: Mapping[str, Any], label: str) -> dict[str, Any] | None:
    for block in message.get("blocks", []):
        for element in block.get("elements", []) if block.get("type") == "actions" else []:
            if element["type"] == "button" and element["text"]["text"] == label:
                return {**element, "block_id": block.get("block_id")}
    return None


def press(slack: LocalSlack, label: str, *, user: str, channel: str = CHANNEL) -> None:
    """Presses the button of the newest message that has it."""
    for message in reversed(slack.messages(channel, user=user)):
        if (button := button_of(message, label)) is not None:
            slack.click(
                user,
                channel,
                message["ts"],
                button["action_id"],
                value=button["value"],
                block_id=button["block_id"],
            )
            return
    raise AssertionError(f"nobody offers {label}")


def told(slack: LocalSlack, words: str, *, user: str, channel: str = CHANNEL) -> None:
    slack.wait_for(
        lambda: any(words in m["text"] for m in slack.messages(channel, user=user)), what=words
    )


def waiting_for_approval(bot: Bot, slack: LocalSlack) -> Release:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0 canary")
    (release,) = bot.store.active()
    facts = {
        "phase": PROMOTING.phase,
        "plan": PROMOTING.plan,
        "progress": Progress(PROMOTING.progress.at_step, gate=GateState(1, 1, bot.store.now())),
        "from_version": "1.0.0",
        "started_at": 1,
    }
    waiting = replace(release, **facts)  # type: ignore[arg-type]  # facts of a release
    saved = bot.store.save(waiting, (), operation="test")
    bot.context.messenger.post(CHANNEL, bot.context.render.card(saved, now=bot.store.now()))
    return saved


def private(slack: LocalSlack, user: str) -> list[str]:
    found = slack.messages(CHANNEL, user=user)
    return [m["text"] for m in found if m.get("ephemeral_to")]


# --- a rejection and its reason -------------------------------------------------------------------


def test_rejecting_asks_why_and_the_reason_reaches_the_release(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    press(slack, "Reject", user="U0MANAGER")
    (view,) = slack.views("U0MANAGER")
    assert bot.store.load(release.id).cause is None
    slack.submit(
        "U0MANAGER", {"reason": {"reject_reason": "not before\nthe holidays"}}, view_id=view["id"]
    )
    cause = bot.settle(release.id).cause
    assert cause is not None and cause.summary.endswith("not before the holidays")
    assert not private(slack, "U0MANAGER")  # the card says it


def test_the_reason_is_optional(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    press(slack, "Reject", user="U0MANAGER")
    (view,) = slack.views("U0MANAGER")
    slack.submit("U0MANAGER", {}, view_id=view["id"])
    cause = bot.settle(release.id).cause
    assert cause is not None and cause.summary.startswith("rejected by")


def test_only_people_who_may_reject_are_asked_why(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    press(slack, "Reject", user="U0DEV2")
    assert not slack.views("U0DEV2")
    told(slack, "You need the", user="U0DEV2")
    assert bot.store.load(release.id).cause is None


def test_rejecting_works_when_the_form_cannot_open(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    slack.fault("error", method="views.open", code="expired_trigger_id")
    press(slack, "Reject", user="U0MANAGER")
    cause = bot.settle(release.id).cause
    assert cause is not None and cause.summary.startswith("rejected by")


# --- an abort, and what waits behind it -----------------------------------------------------------


def with_a_queue(bot: Bot, slack: LocalSlack) -> Release:
    release = waiting_for_approval(bot, slack)
    slack.command("U0DEV1", CHANNEL, "/deploy hello 5.0.0")
    redrawn(bot, release)
    return release


def redrawn(bot: Bot, release: Release) -> None:
    """As delivery does once a version waits behind it."""
    card = bot.context.render.card(release, now=bot.store.now(), followed=True)
    bot.context.messenger.post(CHANNEL, card)


@pytest.mark.parametrize("then", ["hold", "start"])
def test_an_abort_asks_what_becomes_of_the_queue(bot: Bot, slack: LocalSlack, then: str) -> None:
    release = with_a_queue(bot, slack)
    press(slack, "Abort", user="U0DEV1")
    (view,) = slack.views("U0DEV1")
    assert not bot.store.load(release.id).asked
    shown = json.dumps(view, ensure_ascii=False)
    assert "Abort: hello stays on 1.0.0" in shown and "Abort and start 5.0.0" in shown
    slack.submit("U0DEV1", {"queue": {"abort_queue": then}}, view_id=view["id"])
    assert bot.settle(release.id).lets_next_start is (then == "start")


def test_an_abort_whose_release_ended_meanwhile_says_so(bot: Bot, slack: LocalSlack) -> None:
    release = with_a_queue(bot, slack)
    press(slack, "Abort", user="U0DEV1")
    (view,) = slack.views("U0DEV1")
    over = replace(bot.store.load(release.id), phase=Phase.SUCCEEDED)
    bot.store.save(over, (), operation="over")
    slack.submit("U0DEV1", {"queue": {"abort_queue": "start"}}, view_id=view["id"])
    told(slack, "is over: succeeded", user="U0DEV1")
    assert not bot.store.load(release.id).lets_next_start


def test_an_abort_that_a_card_asked_about_before_the_queue_asks_no_second_time(
    bot: Bot, slack: LocalSlack
) -> None:
    release = waiting_for_approval(bot, slack)
    slack.command("U0DEV1", CHANNEL, "/deploy hello 5.0.0")
    press(slack, "Abort", user="U0DEV1")
    assert not slack.views("U0DEV1")
    aborted = bot.settle(release.id)
    assert aborted.cause is not None and not aborted.lets_next_start  # the queue is held, and asks


def test_an_abort_asks_in_its_form_though_the_queue_is_gone(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    redrawn(bot, release)
    press(slack, "Abort", user="U0DEV1")
    (view,) = slack.views("U0DEV1")
    assert not bot.store.load(release.id).asked
    assert "Abort: hello stays on 1.0.0" in json.dumps(view, ensure_ascii=False)
    slack.submit("U0DEV1", {}, view_id=view["id"])
    assert bot.settle(release.id).cause is not None


def test_an_abort_without_a_queue_asks_nothing_more(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    press(slack, "Abort", user="U0DEV1")
    assert not slack.views("U0DEV1")
    assert bot.settle(release.id).cause is not None


def test_a_late_reason_is_refused_and_changes_nothing(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    press(slack, "Reject", user="U0MANAGER")
    (view,) = slack.views("U0MANAGER")
    current = bot.store.load(release.id)
    event = Event(bot.store.now(), EventKind.FINISHED, "over")
    bot.store.save(
        replace(current, phase=Phase.ABORTED, finished_at=bot.store.now()),
        (event,),
        operation="over",
    )
    slack.submit("U0MANAGER", {"reason": {"reject_reason": "late"}}, view_id=view["id"])
    told(slack, "is over", user="U0MANAGER")
    assert bot.store.load(release.id).phase is Phase.ABORTED


# --- a release that waits, put in the place of the one in front -----------------------------------


def test_a_version_that_queues_offers_to_replace_the_one_in_front(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    answer = slack.command("U0DEV1", CHANNEL, "/deploy hello 3.0.0")
    assert "It waits for hello-1" in answer["text"]
    press(slack, "Replace", user="U0DEV1")
    front = bot.settle("hello-1")
    assert front.phase is Phase.ABORTED
    assert front.cause is not None and "replaced by hello-2" in front.cause.summary
    assert bot.store.load("hello-2").phase is Phase.QUEUED


def test_only_people_who_may_abort_can_replace_from_a_queued_card(
    bot: Bot, slack: LocalSlack
) -> None:
    for version in ("2.0.0", "3.0.0"):
        slack.command("U0DEV1", CHANNEL, f"/deploy hello {version}")
    waiting = bot.store.save(
        replace(bot.store.load("hello-2"), queued_behind="hello-1"), (), operation="behind"
    )
    bot.context.messenger.post(CHANNEL, bot.context.render.card(waiting, now=bot.store.now()))
    press(slack, "Replace", user="U0MANAGER")
    told(slack, "You need the", user="U0MANAGER")
    assert not bot.store.load("hello-1").phase.is_final
    press(slack, "Replace", user="U0DEV1")
    assert bot.settle("hello-1").phase is Phase.ABORTED


def test_an_old_replace_button_spares_releases_that_came_in_between(
    bot: Bot, slack: LocalSlack
) -> None:
    for version in ("2.0.0", "3.0.0"):
        slack.command("U0DEV1", CHANNEL, f"/deploy hello {version}")
    bot.store.save(
        replace(bot.store.load("hello-2"), queued_behind="auth-7"), (), operation="behind"
    )
    press(slack, "Replace", user="U0DEV1")
    told(slack, "no longer waits for hello-1", user="U0DEV1")
    assert not bot.store.load("hello-1").phase.is_final


# --- an answer for one person, shared -------------------------------------------------------------


def test_a_private_reply_is_shared_once(bot: Bot, slack: LocalSlack) -> None:
    words = "hello-1"
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    assert words in slack.command("U0DEV1", CHANNEL, "/pilothouse releases hello")["text"]
    assert not any(words in m["text"] for m in slack.messages(CHANNEL, user="U0MANAGER"))
    press(slack, "Share here", user="U0DEV1")
    (query,) = bot.queue.asked
    run_query(bot.context, query)
    told(slack, words, user="U0MANAGER")
    (shared,) = [m for m in slack.messages(CHANNEL, user="U0MANAGER") if words in m["text"]]
    assert button_of(shared, "Share here") is None
    press(slack, "Share here", user="U0DEV1")
    told(slack, "That was shared already", user="U0DEV1")
    assert len(bot.queue.asked) == 1


def test_a_workers_private_reply_can_be_shared(bot: Bot, slack: LocalSlack) -> None:
    asker = Person("T0LOCAL", "U0DEV1", "dev")
    run_query(bot.context, a_query(AppsCommand(), asker=asker))
    press(slack, "Share here", user="U0DEV1")
    (asked,) = bot.queue.asked
    assert asked.reply_to.in_channel and asked.command == AppsCommand()
    assert asked.reply_to.response_url.startswith(slack.url)


# --- a long list, as a file -----------------------------------------------------------------------


def asked_for_apps(bot: Bot, count: int) -> Context:
    """A worker's answer that lists so many apps, and the context it was given in."""
    app = bot.context.catalog.apps["hello"]
    apps = {
        f"app{n:03}": replace(app, target=replace(app.target, app=f"app{n:03}"))
        for n in range(count)
    }
    context = replace(bot.context, catalog=replace(bot.context.catalog, apps=apps))
    reply_to = ReplyTo(CHANNEL, in_channel=True)
    asker = Person("T0LOCAL", "U0DEV1")
    query = a_query(AppsCommand(), reply_to=reply_to, apps=("app000",), asker=asker)
    run_query(context, query)
    return context


def test_a_cut_list_is_counted_and_offered_as_a_file(bot: Bot, slack: LocalSlack) -> None:
    context = asked_for_apps(bot, 130)
    (cut,) = [m for m in slack.messages(CHANNEL, user="U0MANAGER") if "app000" in m["text"]]
    assert "31 more rows not shown" in str(cut["blocks"])
    press(slack, "Send all as a file", user="U0MANAGER")
    (query,) = bot.queue.asked
    run_query(context, query)
    (file,) = [f for m in slack.messages("D0MANAGER", user="U0MANAGER") for f in m.get("files", ())]
    content = httpx.get(f"{slack.url}{file['url_private']}").text
    assert [f"app{n:03}" in content for n in range(130)] == [True] * 130
    told(slack, "the whole list is in your direct messages", user="U0MANAGER")
    assert not any("the whole list" in m["text"] for m in slack.messages(CHANNEL, user="U0DEV1"))


def test_a_list_that_fits_is_not_offered_as_a_file(bot: Bot, slack: LocalSlack) -> None:
    asked_for_apps(bot, 12)
    (whole,) = [m for m in slack.messages(CHANNEL, user="U0DEV1") if "app000" in m["text"]]
    assert button_of(whole, "Send all as a file") is None


def test_a_file_needs_the_right_to_read_and_expires(bot: Bot, slack: LocalSlack) -> None:
    asked_for_apps(bot, 130)
    click = Click(
        Person("T0LOCAL", "U0VIEWER"), CHANNEL, "file", json.dumps({"token": "none"}), "1.0"
    )
    reply = handle_click(bot.context, click)
    assert isinstance(reply, Refusal) and "too old" in reply.line
    nobody = replace(
        bot.context, catalog=replace(bot.context.catalog, access=Access(frozenset({CHANNEL}), {}))
    )
    reply = handle_click(nobody, click)
    assert isinstance(reply, Refusal) and "viewer" in reply.line
    assert not bot.queue.asked


# --- threads --------------------------------------------------------------------------------------


def test_in_a_cards_thread_the_app_need_not_be_named(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy auth 2.0.0")
    deliver_release(bot.context, "auth-1")
    _, ts = bot.store.card("auth-1")
    slack.command("U0DEV1", CHANNEL, "<@U0BOT> rollout abort", thread_ts=ts)
    slack.wait_for(lambda: bot.store.load("auth-1").asked, what="the abort of the thread's release")
    assert bot.settle("auth-1").phase is Phase.ABORTED


def test_any_other_thread_needs_the_app(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy auth 2.0.0")
    ts = bot.context.messenger.post(CHANNEL, bot.context.render.notice("lunch?"))
    slack.command("U0DEV1", CHANNEL, "<@U0BOT> rollout abort", thread_ts=ts)
    slack.wait_for(
        lambda: any(
            "Which app?" in m["text"] for m in slack.messages(CHANNEL, user="U0DEV1", thread_ts=ts)
        ),
        what="the question back",
    )
    assert bot.store.load("auth-1").phase is Phase.QUEUED


# --- names ----------------------------------------------------------------------------------------


def _is_asked(bot: Bot, release_id: str) -> bool:
    return bool(bot.store.load(release_id).asked)


def test_a_person_has_one_spelling_however_they_ask(bot: Bot, slack: LocalSlack) -> None:
    """By slash command, by mention and by button; in the record, in what ended it, and in the
    audit. What the cluster keeps, the change-cause, is written from the record."""
    slack.command("U0DEV1", CHANNEL, "/deploy auth 2.0.0")
    slack.command("U0DEV1", CHANNEL, "<@U0BOT> deploy hello 2.0.0")
    slack.wait_for(lambda: bot.store.recent("hello"), what="the release of the mention")
    names = {bot.store.load(one).requested_by.display_name for one in ("auth-1", "hello-1")}
    assert names == {"developer"}
    deliver_release(bot.context, "auth-1")
    card = next(m for m in slack.messages(CHANNEL) if "Deploy auth" in m["text"])
    (cancel,) = (
        element
        for block in card["blocks"]
        for element in block.get("elements", [])
        if element.get("text", {}) == {"type": "plain_text", "text": "Cancel"}
    )
    slack.click("U0DEV1", CHANNEL, card["ts"], cancel["action_id"], value=cancel["value"])
    slack.command("U0DEV1", CHANNEL, "<@U0BOT> rollout abort hello")
    for one in ("auth-1", "hello-1"):
        slack.wait_for(partial(_is_asked, bot, one), what=f"the end of {one}")
        cause = bot.settle(one).cause
        assert cause is not None and "by developer" in cause.summary
    told = [line.text for line in bot.store.audit() if "by " in line.text]
    assert told and all("by developer" in text for text in told)


# --- people of other workspaces -------------------------------------------------------------------


def test_a_person_of_another_workspace_is_refused_politely(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    answer = slack.command("U0PARTNER", SHARED, "/pilothouse releases")
    assert "only from people of its own workspace" in answer["text"]
    assert "hello-1" not in answer["text"]


def test_a_click_from_another_workspace_does_nothing(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    slack.channel(SHARED, bot_is_member=True)
    bot.context.messenger.post(SHARED, bot.context.render.card(release, now=bot.store.now()))
    press(slack, "Abort", user="U0PARTNER", channel=SHARED)
    told(slack, "only from people of its own workspace", user="U0PARTNER", channel=SHARED)
    assert bot.store.load(release.id).cause is None


def test_commands_are_refused_until_the_workspace_is_known(bot: Bot, slack: LocalSlack) -> None:
    away = replace(bot.context, directory=SlackDirectory("xoxb-1", "http://127.0.0.1:9/api/"))
    reply = handle_command(
        away, Invocation(Person("T0LOCAL", "U0DEV1"), CHANNEL, "deploy hello 2.0.0", "/deploy", "k")
    )
    assert isinstance(reply, Refusal) and "which workspace" in reply.line
    assert not bot.store.active()


def test_a_typed_promote_is_refused_with_names_too(bot: Bot, slack: LocalSlack) -> None:
    deliver_release(bot.context, waiting_for_approval(bot, slack).id)
    slack.command("U0DEV1", CHANNEL, "/rollout promote hello")
    told(slack, "They can: <@U0MANAGER>.", user="U0DEV1")
    press(slack, "Ask them", user="U0DEV1")
    told(slack, "They are asked, in the card's thread.", user="U0DEV1")


def test_a_refusal_names_who_can_and_asks_them(bot: Bot, slack: LocalSlack) -> None:
    release = waiting_for_approval(bot, slack)
    deliver_release(bot.context, release.id)
    press(slack, "Promote", user="U0DEV1")
    told(slack, "They can: <@U0MANAGER>.", user="U0DEV1")
    press(slack, "Ask them", user="U0DEV1")
    told(slack, "They are asked, in the card's thread.", user="U0DEV1")
    (asked,) = (
        entry.event
        for entry in bot.store.outbox(release.id)[0]
        if entry.event.kind is EventKind.REMINDED
    )
    assert "asks for approval: promote" in asked.text
    press(slack, "Ask them", user="U0DEV1")
    told(slack, "They were asked less than 10 minutes ago.", user="U0DEV1")
