"""Every decision is in the audit, allowed and refused, with the path on which it was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.operations.access.record_decision import path_of, path_of_click
from bot.operations.requests import BUTTON, Click, Invocation
from bot.ports import AuditLine
from sandbox.slack import LocalSlack
from tests.builders import DEVELOPER
from tests.unit.slack.conftest import CHANNEL, Bot


def decisions(bot: Bot) -> list[AuditLine]:
    """Oldest first."""
    return [line for line in bot.store.audit(limit=1_000)[::-1] if line.path]


def kinds(bot: Bot) -> list[str]:
    return [line.kind for line in bot.store.audit(limit=1_000)[::-1]]


def test_what_is_allowed_is_recorded_before_it_is_done_and_its_outcome_after(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0DEV1", CHANNEL, '/deploy hello 2.0.0 reason="month end"')
    assert kinds(bot)[:3] == ["allowed deploy", "created", "outcome deploy"]
    allowed, outcome = decisions(bot)[:2]
    assert (allowed.by, allowed.rule, allowed.path) == ("U0DEV1", "role", "slash")
    assert (allowed.channel, allowed.app) == (CHANNEL, "hello")
    assert "deployer" in allowed.roles and allowed.team
    assert allowed.text == 'deploy hello 2.0.0 reason="month end"'
    assert outcome.result == "done"
    assert allowed.request_id == outcome.request_id != ""


def test_what_is_refused_is_recorded_with_the_rule_that_refused_it(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command("U0VIEWER", CHANNEL, "/deploy hello 2.0.0")
    (refused,) = decisions(bot)
    assert (refused.kind, refused.by, refused.rule) == ("refused deploy", "U0VIEWER", "role")
    assert refused.roles == "viewer"


def test_a_start_that_the_plan_refuses_has_that_outcome(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0DEV1", CHANNEL, '/freeze all reason="incident"')
    bot.answers()
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    outcome = decisions(bot)[-1]
    assert (outcome.kind, outcome.result) == ("outcome deploy", "refused")
    assert outcome.rule == "freeze" and "incident" in outcome.text


def test_fifty_refusals_in_a_minute_are_one_entry_with_their_number(
    bot: Bot, slack: LocalSlack
) -> None:
    for number in range(20):
        slack.command("U0VIEWER", CHANNEL, f"/deploy hello 2.0.{number}")
    assert kinds(bot) == ["refused deploy"]


def test_reading_is_a_decision_too_and_help_is_none(bot: Bot, slack: LocalSlack) -> None:
    slack.command("U0VIEWER", CHANNEL, "/pods hello")
    slack.command("U0VIEWER", CHANNEL, "/pilothouse help")
    assert kinds(bot) == ["allowed pods"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("slash", {}),
        ("mention", {"via": "mention"}),
        ("thread", {"via": "mention", "thread_ts": "1.2"}),
        ("form", {"via": "modal"}),
        ("home", {"via": "modal", "channel": ""}),
        ("direct message", {"channel": "D0DEV1"}),
        ("button", {"command": BUTTON}),
        ("suggestion", {"dedup_key": "meant:17"}),
    ],
)
def test_each_path_of_a_command_has_its_name(path: str, asked: dict[str, Any]) -> None:
    invocation = Invocation(DEVELOPER, CHANNEL, "pods hello", "/pods", "command:1")
    assert path_of(replace(invocation, **asked)) == path


@pytest.mark.parametrize(
    ("path", "action", "channel"),
    [("button", "approve", CHANNEL), ("confirmation", "go_on", CHANNEL), ("home", "approve", "")],
)
def test_each_path_of_a_click_has_its_name(path: str, action: str, channel: str) -> None:
    assert path_of_click(Click(DEVELOPER, channel, action, "{}", "1.2")) == path
