"""The same request twice has one effect and gets one answer; what is late or edited has none."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from bot.operations.intake.handle_click import handle_click
from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import Receipt, Refusal, TextReply
from bot.operations.requests import Invocation
from bot.releases.facts.people import Person
from bot.releases.facts.release import GateState, Phase, Progress, Release
from sandbox.slack import LocalSlack
from tests.blocks.stories import CARDS
from tests.conftest import eventually
from tests.unit.slack.conftest import CHANNEL, Bot
from tests.unit.slack.test_stale_clicks import (
    HOLDING,
    TEAM,
    clicked,
    in_its_second_hold,
    stored,
)

MANAGER, DEVELOPER, ADMIN = (
    Person(TEAM, user, user) for user in ("U0MANAGER", "U0DEV1", "U0ADMIN")
)


def typed(
    text: str, *, by: Person = DEVELOPER, key: str = "command:1", sent_at: int | None = None
) -> Invocation:
    return Invocation(by, CHANNEL, text, "/rollout", key, sent_at=sent_at)


def mention(text: str, *, user: str = "U0MANAGER", **more: Any) -> dict[str, Any]:
    now = f"{time.time():.6f}"
    event = {
        "type": "app_mention",
        "user": user,
        "team": TEAM,
        "channel": CHANNEL,
        "text": f"<@U0BOT> {text}",
        "ts": now,
        "event_ts": now,
        **more,
    }
    return {
        "type": "event_callback",
        "event_id": "Ev1",
        "team_id": TEAM,
        "authorizations": [{"user_id": "U0BOT"}],
        "event": event,
    }


def send(bot: Bot, slack: LocalSlack, payload: dict[str, Any], *, form: bool = False) -> None:
    as_json = json.dumps(payload)
    body = urlencode({"payload": as_json}) if form else as_json
    stamp = str(int(time.time()))
    secret = slack.settings.signing_secret.encode()
    digest = hmac.new(secret, f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
        "X-Slack-Retry-Num": "1",
    }
    answer = httpx.post(f"{bot.url}/slack/events", content=body, headers=headers, trust_env=False)
    assert answer.status_code == 200


def private_lines(slack: LocalSlack, user: str) -> list[str]:
    return [
        call["request"]["text"]
        for call in slack.log(kind="call", name="chat.postEphemeral")
        if call["request"]["user"] == user
    ]


def skipped(bot: Bot, release: Release) -> bool:
    gate = bot.store.load(release.id).progress.gate
    return gate is not None and gate.skipped


def next_hold(bot: Bot, release: Release, *, opened_at: int) -> None:
    """The worker has gone on to the next hold."""
    now = bot.store.load(release.id)
    moved = replace(in_its_second_hold(now), version=now.version)
    moved = replace(moved, progress=Progress(1, gate=GateState(1, 0, opened_at)))
    bot.store.save(moved, (), operation="moved")


# --- redelivered ----------------------------------------------------------------------------------


def test_a_redelivered_mention_ends_one_hold(bot: Bot, slack: LocalSlack) -> None:
    holding = replace(HOLDING, created_at=0, progress=Progress(0, gate=GateState(0, 0, 0)))
    release = stored(bot, holding)
    event = mention("rollout promote hello")
    send(bot, slack, event)
    assert eventually(lambda: skipped(bot, release))
    next_hold(bot, release, opened_at=0)
    send(bot, slack, event)
    assert not skipped(bot, release)


def test_a_command_sent_again_gets_the_first_answer(bot: Bot) -> None:
    release = stored(bot, HOLDING)
    promote = typed("rollout promote hello", by=MANAGER)
    first = handle_command(bot.context, promote)
    assert isinstance(first, TextReply)
    next_hold(bot, release, opened_at=0)
    assert handle_command(bot.context, promote) == first
    assert not skipped(bot, release)
    again = replace(promote, dedup_key="command:2")
    assert isinstance(handle_command(bot.context, again), TextReply)
    assert skipped(bot, release)


def test_a_refused_command_sent_again_stays_refused(bot: Bot) -> None:
    freeze = bot.freeze("hello", by=ADMIN)
    deploy = typed("deploy hello 2.0.0")
    first = handle_command(bot.context, deploy)
    assert bot.store.change_freeze("hello", freeze, None)
    assert isinstance(first, Refusal) and handle_command(bot.context, deploy) == first
    assert not bot.store.active()


def test_a_deployment_sent_again_gets_its_receipt(bot: Bot) -> None:
    deploy = typed("deploy hello 2.0.0")
    first, second = (handle_command(bot.context, deploy) for _ in range(2))
    assert isinstance(first, Receipt) and second == first


def test_a_freeze_sent_again_after_its_end_freezes_nothing(bot: Bot) -> None:
    freeze = typed("freeze hello reason=audit")
    first = handle_command(bot.context, freeze)
    assert bot.answers() and bot.store.freezes()
    handle_command(bot.context, typed("unfreeze hello", key="command:2"))
    assert bot.answers() == ["hello is no longer frozen"]
    assert handle_command(bot.context, freeze) == first
    assert not bot.answers() and not bot.store.freezes()


def test_a_query_that_changes_something_is_asked_once(bot: Bot) -> None:
    undo = typed("rollout undo hello --to-revision=2")
    assert handle_command(bot.context, undo) == handle_command(bot.context, undo)
    assert len(bot.queue.asked) == 1


def test_a_click_sent_again_pauses_once(bot: Bot) -> None:
    release = stored(bot, HOLDING)
    pause = replace(clicked(release, "Pause", user="U0DEV1"), dedup_key="click:1.1:pause:5.5")
    first = handle_click(bot.context, pause)
    resume = clicked(bot.settle(release.id), "Resume", user="U0DEV1")
    assert isinstance(handle_click(bot.context, resume), TextReply)
    assert handle_click(bot.context, pause) == first
    assert bot.settle(release.id).phase is Phase.HOLDING
    later = replace(pause, dedup_key="click:1.1:pause:6.6")
    assert isinstance(handle_click(bot.context, later), TextReply)
    assert bot.settle(release.id).phase is Phase.PAUSED


def test_a_form_refused_once_can_be_submitted_again(bot: Bot) -> None:
    form = replace(typed("deploy hello 2.0.0", key="view:V1"), via="modal")
    freeze = bot.freeze("hello", by=ADMIN)
    assert isinstance(handle_command(bot.context, form), Refusal)
    assert bot.store.change_freeze("hello", freeze, None)
    first = handle_command(bot.context, form)
    assert isinstance(first, Receipt) and handle_command(bot.context, form) == first


def test_a_request_that_is_being_carried_out_is_not_carried_out_again(bot: Bot) -> None:
    bot.store.put_new("answer:command:1", "carrying out x", ttl_ms=60_000)
    reply = handle_command(bot.context, typed("deploy hello 2.0.0"))
    assert isinstance(reply, Refusal) and "already being carried out" in reply.line
    assert not bot.store.active()


# --- late or edited -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"edited": {"user": "U0DEV1", "ts": "1.1"}}, "Edited messages are not commands."),
        ({"ts": f"{time.time() - 7_200:.6f}"}, "That message is more than 5 minutes old."),
        ({"ts": "yesterday"}, "That message is more than 5 minutes old."),
    ],
    ids=["edited", "old", "no time"],
)
def test_an_edited_or_old_mention_is_never_carried_out(
    bot: Bot, slack: LocalSlack, changed: dict[str, Any], line: str
) -> None:
    send(bot, slack, mention("deploy hello 2.0.0", user="U0DEV1", **changed))
    assert eventually(lambda: any(line in text for text in private_lines(slack, "U0DEV1")))
    assert any("Send it again." in text for text in private_lines(slack, "U0DEV1"))
    assert not bot.store.active()


@pytest.mark.parametrize("verb", ["promote", "abort", "resume", "pause", "undo"])
def test_a_request_never_meets_a_release_that_began_later(bot: Bot, verb: str) -> None:
    release = stored(bot, replace(HOLDING, created_at=2_000))
    text = f"rollout {verb} hello"
    reply = handle_command(bot.context, typed(text, by=ADMIN, sent_at=1_000))
    assert isinstance(reply, Refusal) and "moved on since you sent that" in reply.line
    assert bot.store.load(release.id).version == release.version


def test_a_late_promote_never_ends_a_hold_that_began_later(bot: Bot) -> None:
    gate = GateState(0, 0, 3_000)
    release = stored(bot, replace(HOLDING, created_at=0, progress=Progress(0, gate=gate)))
    promote = typed("rollout promote hello", by=MANAGER, sent_at=2_000)
    assert isinstance(handle_command(bot.context, promote), Refusal)
    assert not skipped(bot, release)
    in_time = replace(promote, dedup_key="command:2", sent_at=4_000)
    assert isinstance(handle_command(bot.context, in_time), TextReply)


def test_a_late_promote_never_approves_a_gate_that_opened_later(bot: Bot) -> None:
    waiting = CARDS["canary waiting for approval"]
    assert waiting.progress.gate is not None
    release = stored(bot, replace(waiting, created_at=0))
    sent = waiting.progress.gate.opened_at - 1
    promote = typed("rollout promote hello", by=MANAGER, sent_at=sent)
    assert isinstance(handle_command(bot.context, promote), Refusal)
    gate = bot.store.load(release.id).progress.gate
    assert gate is not None and not gate.votes


def test_a_late_resume_never_continues_a_later_pause(bot: Bot) -> None:
    paused = replace(
        HOLDING, phase=Phase.PAUSED, paused_from=Phase.HOLDING, created_at=0, phase_since=3_000
    )
    release = stored(bot, paused)
    resume = typed("rollout resume hello", sent_at=2_000)
    assert isinstance(handle_command(bot.context, resume), Refusal)
    assert bot.store.load(release.id).phase is Phase.PAUSED
