"""What people and Slack do to a release's messages: deleted, archived, not invited, too long, full
of markup, in every script."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.replies import TableReply
from bot.ports import Table
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase
from bot.slack.markup import columns
from sandbox.slack import LocalSlack
from tests.conftest import eventually
from tests.unit.slack.conftest import CHANNEL, Bot

EVERY_SCRIPT = "안녕 배포 🚀 שלום مرحبا"


def told_all(bot: Bot, release_id: str) -> None:
    """Delivers as a worker would, again for as long as it is asked to."""
    assert eventually(lambda: deliver_release(bot.context, release_id) is None)


def changed(
    bot: Bot, release_id: str, *events: tuple[EventKind, str], phase: Phase = Phase.PROGRESSING
) -> None:
    release = bot.store.load(release_id)
    told_of = tuple(Event(bot.store.now(), kind, text) for kind, text in events)
    bot.store.save(
        replace(release, phase=phase, started_at=1),
        told_of,
        operation=f"{release_id}:{release.version}",
    )


def cards(slack: LocalSlack, release_id: str) -> list[str]:
    """ts of the messages that are this release's card now."""
    return [
        m["ts"]
        for m in slack.messages(CHANNEL)
        if (m.get("metadata") or {}).get("event_payload", {}).get("key") == f"{release_id}:card"
    ]


def test_a_deleted_card_is_posted_again_with_a_new_thread(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    told_all(bot, "hello-1")
    (first,) = cards(slack, "hello-1")
    slack.delete_message(CHANNEL, first)
    changed(bot, "hello-1", (EventKind.STEP_DONE, "a step: done"))
    told_all(bot, "hello-1")
    (second,) = cards(slack, "hello-1")
    assert second != first
    assert bot.store.card("hello-1") == (CHANNEL, second)
    assert any("a step: done" in m["text"] for m in slack.messages(CHANNEL, thread_ts=second))


def test_in_an_archived_channel_the_starter_gets_a_direct_message(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    told_all(bot, "hello-1")
    slack.channel(CHANNEL, archived=True)
    changed(bot, "hello-1", (EventKind.FINISHED, "hello is on 2.0.0"), phase=Phase.SUCCEEDED)
    told_all(bot, "hello-1")
    channel = slack.log(kind="call", name="conversations.open")[-1]["response"]["channel"]["id"]
    assert any("hello is on 2.0.0" in m["text"] for m in slack.messages(channel, user="U0DEV1"))
    assert bot.store.outbox("hello-1") == ((), False)  # nothing is tried for ever


def test_removed_from_its_channel_the_bot_sends_the_starter_direct_messages(
    bot: Bot, slack: LocalSlack
) -> None:
    assert "started as hello-1" in slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")["text"]
    slack.channel(CHANNEL, bot_is_member=False)
    changed(bot, "hello-1", (EventKind.FINISHED, "hello is on 2.0.0"), phase=Phase.SUCCEEDED)
    told_all(bot, "hello-1")
    refused, *others = slack.log(kind="call", name="chat.postMessage")
    assert refused["error"] == "not_in_channel"
    assert any(
        "hello is on 2.0.0" in call["request"]["text"]
        and call["request"]["channel"].startswith("D")
        for call in others
    )
    assert bot.store.outbox("hello-1") == ((), False)


def test_a_text_of_3001_characters_is_whole_in_the_record_and_cut_on_the_card(
    bot: Bot, slack: LocalSlack
) -> None:
    reason = "x" * 3_001
    slack.command("U0DEV1", CHANNEL, f'/deploy hello 2.0.0 reason="{reason}"')
    assert bot.store.load("hello-1").reason == reason
    told_all(bot, "hello-1")
    (ts,) = cards(slack, "hello-1")
    (posted,) = [m for m in slack.messages(CHANNEL) if m["ts"] == ts]
    assert all(call["ok"] for call in slack.log(kind="call", name="chat.postMessage"))
    assert "xxx…" in json.dumps(posted["blocks"], ensure_ascii=False)


@pytest.mark.parametrize("ping", ["<!channel>", "<!here>", "<!subteam^S0DEV>", "<@U0ADMIN>"])
def test_typed_text_never_notifies_anyone(bot: Bot, slack: LocalSlack, ping: str) -> None:
    slack.command("U0DEV1", CHANNEL, f'/deploy hello 2.0.0 reason="{ping} *now*"')
    told_all(bot, "hello-1")
    changed(bot, "hello-1", (EventKind.FAILURE, f"{ping} failed"), phase=Phase.ROLLING_BACK)
    told_all(bot, "hello-1")
    sent = [
        json.dumps([call["request"]["text"], call["request"].get("blocks")])
        for call in slack.log(kind="call", name="chat.postMessage")
    ]
    assert len(sent) >= 2
    assert not any(ping in text for text in sent)


def test_a_new_card_notifies_no_one_and_a_failure_only_who_must_act(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    told_all(bot, "hello-1")
    changed(bot, "hello-1", (EventKind.FAILURE, "the image is not there"), phase=Phase.ROLLING_BACK)
    told_all(bot, "hello-1")
    card, failure = (
        json.dumps(call["request"]) for call in slack.log(kind="call", name="chat.postMessage")
    )
    assert "<@" not in card and "<!" not in card.replace("<!date", "")
    assert failure.count("<@U0DEV1>") and not failure.replace("<@U0DEV1>", "").count("<@")


def test_every_script_survives_parser_audit_card_and_thread(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, f'/deploy hello 2.0.0 reason="{EVERY_SCRIPT}"')
    assert bot.store.load("hello-1").reason == EVERY_SCRIPT
    assert any(EVERY_SCRIPT in line.text for line in bot.store.audit())
    told_all(bot, "hello-1")
    (ts,) = cards(slack, "hello-1")
    (posted,) = [m for m in slack.messages(CHANNEL) if m["ts"] == ts]
    assert EVERY_SCRIPT in posted["text"] and EVERY_SCRIPT in json.dumps(
        posted["blocks"], ensure_ascii=False
    )
    changed(bot, "hello-1", (EventKind.STEP_DONE, EVERY_SCRIPT))
    told_all(bot, "hello-1")
    assert any(EVERY_SCRIPT in m["text"] for m in slack.messages(CHANNEL, thread_ts=ts))


def test_every_script_survives_table_and_file(bot: Bot, slack: LocalSlack) -> None:
    table = Table(EVERY_SCRIPT, ("name", "x"), ((EVERY_SCRIPT, "1"), ("hello", "2")))
    listed = bot.context.messenger.post(
        CHANNEL, bot.context.render.reply(TableReply((table,)), now=0)
    )
    (message,) = [m for m in slack.messages(CHANNEL) if m["ts"] == listed]
    assert EVERY_SCRIPT in message["text"] and EVERY_SCRIPT in json.dumps(
        message["blocks"], ensure_ascii=False
    )
    bot.context.messenger.upload(
        "U0DEV1", "list.txt", bot.context.render.file(TableReply((table,))), title="list"
    )
    channel = slack.log(kind="call", name="conversations.open")[-1]["response"]["channel"]["id"]
    (file,) = [file for m in slack.messages(channel, user="U0DEV1") for file in m.get("files", ())]
    content = httpx.get(
        (
            f"{slack.url}{file['url_private']}"
            if file["url_private"].startswith("/")
            else file["url_private"]
        ),
        trust_env=False,
    )
    lines = [
        line
        for line in content.content.decode("utf-8").splitlines()
        if line.rstrip().endswith(("1", "2"))
    ]
    assert EVERY_SCRIPT in lines[0]
    assert len({columns(line.rstrip()[:-1]) for line in lines}) == 1  # the second column lines up
