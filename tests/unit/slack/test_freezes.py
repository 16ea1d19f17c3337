"""Freezes as people meet them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.queries.list_apps import frozen_lines
from bot.operations.replies import FreezeReply
from sandbox.slack import LocalSlack
from tests.builders import DEVELOPER
from tests.unit.slack.conftest import CHANNEL, Bot
from tests.unit.slack.test_conversation import press


@pytest.fixture
def frozen(bot: Bot, slack: LocalSlack) -> Bot:
    slack.command("U0DEV1", CHANNEL, '/freeze all reason="incident"')
    assert "all is frozen: incident" in bot.answers()[0]
    return bot


def test_a_refusal_names_the_freeze_and_how_to_continue(frozen: Bot, slack: LocalSlack) -> None:
    answer = slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")["text"]
    assert (
        "all is frozen by developer: incident" in answer
        and "An admin may override it with a reason" in answer
    )
    assert not frozen.store.active()


def test_an_admin_needs_a_reason_during_a_freeze(frozen: Bot, slack: LocalSlack) -> None:
    assert 'add reason="' in slack.command("U0ADMIN", CHANNEL, "/deploy hello 2.0.0")["text"]
    assert not frozen.store.active()
    slack.command("U0ADMIN", CHANNEL, '/deploy hello 2.0.0 reason="customers cannot pay"')
    assert [release.reason for release in frozen.store.active()] == ["customers cannot pay"]


def test_undo_works_during_a_freeze(frozen: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/rollout undo hello")
    assert len(frozen.store.active()) == 1


def test_a_freeze_names_its_end_and_is_audited(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, '/freeze hello reason="month end" until=2099-12-31T18:00Z')
    assert "hello is frozen until 2099-12-31 18:00:00 UTC: month end" in bot.answers()[0]
    slack.command("U0DEV1", CHANNEL, "/unfreeze hello")
    bot.answers()
    lines = [(line.kind, line.text, line.by) for line in bot.store.audit(app="hello")]
    assert lines == [("unfroze", "hello", "U0DEV1"), ("froze", "hello: month end", "U0DEV1")]


@pytest.mark.parametrize(
    ("user", "reply"), [("U0DEV1", "hello is no longer frozen"), ("U0VIEWER", "")]
)
def test_the_button_of_a_freeze_lifts_it_for_those_who_may(
    bot: Bot, slack: LocalSlack, user: str, reply: str
) -> None:
    freeze = replace(bot.freeze("hello", by=DEVELOPER), by_admin=False)
    bot.store.change_freeze("hello", bot.store.freezes()[0], freeze)
    banner = bot.context.render.reply(FreezeReply(freeze), now=bot.store.now())
    bot.context.messenger.post(CHANNEL, banner)
    press(slack, "Unfreeze", user=user)
    assert bot.answers() == ([reply] if reply else [])
    assert bool(bot.store.freezes()) == (not reply)


def test_apps_and_status_name_a_freeze(frozen: Bot) -> None:
    apps = tuple(frozen.context.catalog.apps.values())
    assert frozen_lines(frozen.context, apps) == ["🧊 all is frozen by developer: incident"]


def test_a_freeze_begins_while_slack_is_away_and_does_not_end(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, "/freeze hello reason=before")
    bot.answers()
    bot.store.take("kind of U0DEV1")
    slack.fault("server_error", method="users.info", times=-1)
    slack.command("U0DEV1", CHANNEL, "/freeze all reason=incident")
    assert "UTC; Slack did not answer)" in bot.answers()[0]
    for text in ("/unfreeze all", "/freeze all reason=shorter until=1m"):
        slack.command("U0DEV1", CHANNEL, text)
        assert "Slack does not say whether you may still do that" in bot.answers()[0]
    assert [freeze.reason for freeze in bot.store.freezes()] == ["before", "incident"]
