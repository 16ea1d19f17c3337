"""The form of `/deploy`: what it offers, what it shows while it is filled in, and what submitting
it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from bot.commands.deploy_form import DeployForm
from bot.commands.table import Names
from bot.operations.intake.handle_command import handle_command
from bot.operations.queries.known_versions import known_versions
from bot.operations.queries.run_query import run_query
from bot.operations.replies import OpenFormReply, Refusal
from bot.operations.requests import Invocation
from bot.query import PreviewCommand
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase
from bot.releases.facts.target import Strategy
from bot.slack.blocks.modal import app_options, deploy_modal, read_form
from bot.slack.listeners.deploy_form import FormChange, first_form, redraw, refreshed
from bot.slack.listeners.views import change_of, form_errors
from bot.slack.messenger import SlackMessenger
from sandbox.slack import LocalSlack
from sandbox.slack.block_rules import check_view
from tests.blocks.stories import SUCCEEDED
from tests.builders import a_query
from tests.unit.slack.conftest import CHANNEL, Bot
from tests.unit.slack.test_listeners import signed


def opened(slack: LocalSlack, typed: str = "/deploy hello") -> dict[str, Any]:
    slack.command("U0DEV1", CHANNEL, typed)
    (view,) = slack.views("U0DEV1")
    return view


def released(bot: Bot, app: str, version: str) -> None:
    """A release that brought this version, over."""
    asked = bot.context.catalog.apps[app]
    draft = replace(
        SUCCEEDED, id="", version=0, target=asked.target, phase=Phase.QUEUED, finished_at=0
    )
    release = bot.store.create(
        draft, dedup_key="", same_as="", operation=f"{app} {version}"
    ).release
    assert release.plan is not None
    plan = replace(release.plan, version=version)
    bot.store.save(
        replace(release, phase=Phase.SUCCEEDED, plan=plan, finished_at=1),
        (),
        operation=f"{app} {version} over",
    )


def block_of(view: Mapping[str, Any], block_id: str) -> dict[str, Any]:
    return next(block for block in view["blocks"] if block.get("block_id") == block_id)


def test_versions_come_from_the_apps_history_and_from_what_runs_elsewhere(bot: Bot) -> None:
    released(bot, "hello", "1.1.0")
    released(bot, "hello", "1.2.0")
    released(bot, "auth", "1.3.0")
    hello = bot.context.catalog.apps["hello"]
    known = [(one.version, one.where) for one in known_versions(bot.context, hello)]
    assert known == [("1.2.0", ""), ("1.0.0", ""), ("1.1.0", ""), ("1.3.0", "auth")]
    of_another_image = replace(
        hello, target=replace(hello.target, images=("registry.example/other",))
    )
    assert ("1.3.0", "auth") not in [
        (one.version, one.where) for one in known_versions(bot.context, of_another_image)
    ]


def test_the_form_shows_where_a_version_runs(bot: Bot, slack: LocalSlack) -> None:
    released(bot, "hello", "1.1.0")
    released(bot, "auth", "1.3.0")
    options = block_of(opened(slack), "known")["element"]["options"]
    assert [option["text"]["text"] for option in options] == [
        "1.1.0",
        "1.0.0",
        "1.3.0 (running as auth)",
    ]


@pytest.mark.parametrize(
    ("strategy", "steps", "words"),
    [
        (Strategy.ROLLING, "", ("pod by pod",)),
        (Strategy.CANARY, "", ("20%", "50%", "Promote")),
        (Strategy.CANARY, "5, 10,100", ("5%", "10%", "Promote")),
        (Strategy.BLUEGREEN, "", ("Switch", "10 min")),
    ],
)
def test_the_outline_follows_strategy_and_steps(
    bot: Bot, strategy: Strategy, steps: str, words: tuple[str, ...]
) -> None:
    form = replace(
        first_form(bot.context, OpenFormReply("hello"), CHANNEL), strategy=strategy, steps=steps
    )
    outline = "\n".join(refreshed(bot.context, form).preview)
    assert all(word in outline for word in words)
    assert "100%" not in outline


def test_with_a_version_a_worker_plans_for_the_current_form(bot: Bot, slack: LocalSlack) -> None:
    view = opened(slack)
    slack.post(
        "click", user="U0DEV1", view_id=view["id"], action_id="deploy_version", value="2.0.0"
    )
    slack.wait_for(lambda: bot.queue.asked, what="a preview asked for")
    (query,) = bot.queue.asked
    assert isinstance(query.command, PreviewCommand)
    assert (query.command.form.app, query.command.form.version) == ("hello", "2.0.0")
    assert query.command.view_hash == slack.views("U0DEV1")[0]["hash"]


class SlowMessenger(SlackMessenger):
    """What ``meanwhile`` does happens after the form was made and before it arrives."""

    meanwhile: Callable[[], None] | None = None

    def update_view(self, view_id: str, seen_hash: str, view: Mapping[str, Any]) -> str:
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()
        return super().update_view(view_id, seen_hash, view)


def test_the_newer_of_two_quick_changes_is_shown_whichever_is_drawn_last(
    bot: Bot, slack: LocalSlack
) -> None:
    view = opened(slack)
    messenger = SlowMessenger(slack.settings.bot_token, slack.api_url)
    context = replace(bot.context, messenger=messenger)
    chosen = replace(first_form(context, OpenFormReply("hello"), CHANNEL), strategy=Strategy.CANARY)
    older = FormChange(Person("T0LOCAL", "U0DEV1"), view["id"], 1_795_000_000_000_001, chosen)
    newer = replace(older, at=older.at + 1, form=replace(chosen, version="2.0.0"))
    messenger.meanwhile = lambda: redraw(context, newer)
    redraw(context, older)
    (shown,) = slack.views("U0DEV1")
    assert block_of(shown, "version")["element"]["initial_value"] == "2.0.0"
    last = bot.queue.asked[-1].command
    assert isinstance(last, PreviewCommand)
    assert (last.form.version, last.view_hash) == ("2.0.0", shown["hash"])


def test_a_change_that_arrives_after_a_newer_one_draws_nothing(bot: Bot, slack: LocalSlack) -> None:
    view = opened(slack)
    newer = FormChange(
        Person("T0LOCAL", "U0DEV1"),
        view["id"],
        2,
        replace(first_form(bot.context, OpenFormReply("hello"), CHANNEL), version="2.0.0"),
    )
    redraw(bot.context, newer)
    (drawn,) = slack.views("U0DEV1")
    redraw(bot.context, replace(newer, at=1, form=replace(newer.form, version="1.9.0")))
    assert [one["hash"] for one in slack.views("U0DEV1")] == [drawn["hash"]]
    (query,) = bot.queue.asked
    assert isinstance(query.command, PreviewCommand) and query.command.form.version == "2.0.0"


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("1795000000.000002", 1_795_000_000_000_002),
        ("1795000000.5", 1_795_000_000_500_000),
        ("1795000000", 1_795_000_000_000_000),
    ],
)
def test_changes_are_ordered_by_when_slack_says_they_were_made(said: str, at: int) -> None:
    body = {
        "actions": [{"action_id": "deploy_strategy", "action_ts": said}],
        "view": {"id": "V1"},
        "user": {"id": "U0DEV1"},
    }
    change = change_of(body, ("hello",))
    assert (change.view_id, change.person.user, change.at) == ("V1", "U0DEV1", at)


def test_a_preview_of_a_form_that_changed_or_closed_meanwhile_is_dropped(
    bot: Bot, slack: LocalSlack
) -> None:
    view = opened(slack)
    form = replace(first_form(bot.context, OpenFormReply("hello"), CHANNEL), version="2..$")

    def preview(view_hash: str) -> None:
        command = PreviewCommand(form, view["id"], view_hash)
        run_query(bot.context, a_query(command, asker=Person("T0LOCAL", "U0DEV1")))

    preview("1.old")
    assert "is not a version" not in json.dumps(slack.views("U0DEV1"))
    preview(view["hash"])
    assert "is not a version" in json.dumps(slack.views("U0DEV1"))
    slack.close_view("U0DEV1")
    preview(view["hash"])
    assert slack.views("U0DEV1") == []


def test_a_form_submitted_twice_starts_one_release(bot: Bot, slack: LocalSlack) -> None:
    """As when Slack sends it again: the same view, a new trigger."""
    view = opened(slack)
    values = {
        "version": {"deploy_version": {"type": "plain_text_input", "value": "2.0.0"}},
        "app": {"deploy_app": {"type": "static_select", "selected_option": {"value": "hello"}}},
        "strategy": {
            "deploy_strategy": {"type": "radio_buttons", "selected_option": {"value": "rolling"}}
        },
    }
    sent = {**view, "state": {"values": values}}
    for trigger in ("1.1.a", "1.1.b"):
        payload = {
            "type": "view_submission",
            "team": {"id": "T0LOCAL", "domain": "local"},
            "trigger_id": trigger,
            "view": sent,
            "user": {"id": "U0DEV1", "username": "developer", "team_id": "T0LOCAL"},
            "api_app_id": "A0LOCAL",
            "token": "t",
        }
        assert (
            signed(
                bot, slack.settings.signing_secret, f"payload={quote(json.dumps(payload))}"
            ).status_code
            == 200
        )
        bot.store.delivered("hello-1", through=99, card_version=99)
    assert [release.id for release in bot.store.active()] == ["hello-1"]
    over = bot.store.load("hello-1")
    bot.store.save(replace(over, phase=Phase.SUCCEEDED, finished_at=1), (), operation="over")
    assert (
        signed(
            bot, slack.settings.signing_secret, f"payload={quote(json.dumps(payload))}"
        ).status_code
        == 200
    )
    assert bot.store.active() == ()  # not even when the first one is over


def test_an_expired_trigger_gets_an_example_and_a_button(bot: Bot, slack: LocalSlack) -> None:
    slack.fault("error", method="views.open", code="expired_trigger_id")
    answer = slack.command("U0DEV1", CHANNEL, "/deploy hello")
    assert "/deploy hello 2.0.0" in answer["text"]
    button = next(
        element
        for block in answer["message"]["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    )
    block_id = next(
        block["block_id"] for block in answer["message"]["blocks"] if block["type"] == "actions"
    )
    slack.click(
        "U0DEV1",
        CHANNEL,
        answer["message"]["ts"],
        button["action_id"],
        value=button["value"],
        block_id=block_id,
    )
    (view,) = slack.views("U0DEV1")
    assert block_of(view, "app")["element"]["initial_option"]["value"] == "hello"


def test_the_form_opens_before_anything_else_is_asked_of_slack(bot: Bot, slack: LocalSlack) -> None:
    """A trigger and an acknowledgement have 3 s: there is time for one call to a slow Slack."""
    slack.command("U0DEV1", CHANNEL, "/help")  # a bot asks once who it is
    before = slack.log()[-1]["id"]
    slack.fault("slow", method="views.open", seconds=0.2)
    assert slack.command("U0DEV1", CHANNEL, "/deploy")["ok"]
    assert len(slack.views("U0DEV1")) == 1
    opened, command = [one for one in slack.log() if one["id"] > before][:2]
    assert (opened["name"], command["kind"]) == ("views.open", "delivery")
    assert command["duration_ms"] > 200


def test_more_apps_than_a_select_holds_are_found_by_typing() -> None:
    apps = (*(f"shop-{number}" for number in range(150)), "hello")
    view = deploy_modal(DeployForm(apps, app="hello"), Names())
    assert block_of(view, "app")["element"]["type"] == "external_select"
    assert check_view(dict(view)).problems == []
    assert [option["value"] for option in app_options(apps, "HEL")] == ["hello"]
    assert len(app_options(apps, "")) == 100
    assert [option["value"] for option in app_options(("a-hello", "hello"), "hel")] == [
        "hello",
        "a-hello",
    ]


def test_submitting_means_the_command_that_the_form_shows() -> None:
    form = DeployForm(
        ("hello",),
        "hello",
        version="2.0.0",
        strategy=Strategy.CANARY,
        steps="20, 50",
        reason='say "hi"\nnow',
    )
    view = deploy_modal(form, Names())
    assert "`/deploy hello 2.0.0 canary steps=20,50 reason=\"say 'hi' now\"`" in json.dumps(
        view, ensure_ascii=False
    ).replace('\\"', '"')
    assert form.command == "deploy hello 2.0.0 canary steps=20,50 reason=\"say 'hi' now\""
    state = {
        "app": {"deploy_app": {"selected_option": {"value": "hello"}}},
        "version": {"deploy_version": {"value": " 2.0.0 "}},
    }
    assert (
        read_form({"state": {"values": state}}, ("hello",)).command == "deploy hello 2.0.0 rolling"
    )


@pytest.mark.parametrize(
    ("user", "typed", "field"),
    [
        ("U0DEV1", "deploy helo 2.0.0", "app"),
        ("U0MANAGER", "deploy hello 2.0.0", "app"),
        ("U0DEV1", "deploy hello 2.0.0 canary steps=50,20", "steps"),
        ("U0DEV1", "deploy hello 2.0.0 canary steps=0", "steps"),
        ("U0DEV1", "deploy hello 2..$", "version"),
    ],
)
def test_a_refusal_is_shown_at_the_field_it_names(
    bot: Bot, user: str, typed: str, field: str
) -> None:
    invocation = Invocation(Person("T0LOCAL", user), CHANNEL, typed, "/deploy", "1", via="modal")
    refusal = handle_command(bot.context, invocation)
    assert isinstance(refusal, Refusal)
    view: dict[str, Any] = {"state": {"values": {"app": {}, "version": {}, "steps": {}}}}
    assert form_errors(view, refusal) == {field: refusal.line}


def test_a_refusal_about_a_hidden_field_is_shown_at_the_version() -> None:
    view: dict[str, Any] = {"state": {"values": {"app": {}, "version": {}}}}
    assert form_errors(view, Refusal("Steps must rise.", field="steps")) == {
        "version": "Steps must rise."
    }
