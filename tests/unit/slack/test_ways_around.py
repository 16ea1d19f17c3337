"""Each path into Pilothouse leads through the same decision: what was once a way around it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.operations.intake.handle_click import handle_click
from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import Refusal
from bot.operations.requests import Click, Invocation
from bot.policy.permissions import Role
from bot.releases.facts.people import Person
from bot.slack.home_tab import publish_home
from bot.slack.listeners.events import invocation_of
from sandbox.slack import LocalSlack
from tests.blocks.stories import HOLDING
from tests.unit.slack.conftest import CHANNEL, Bot
from tests.unit.slack.test_home import home_of, press_form_button

DEPLOYER, APPROVER, ADMIN, STRANGER = "U0DEV1", "U0MANAGER", "U0ADMIN", "U0PARTNER"
DIRECT = "D0DEV1"


def typed(bot: Bot, person: Person, text: str, channel: str = CHANNEL) -> str:
    reply = handle_command(bot.context, Invocation(person, channel, text, "/pilothouse", ""))
    return reply.line if isinstance(reply, Refusal) else type(reply).__name__


def carried_out(bot: Bot, person: Person, text: str) -> str:
    assert typed(bot, person, text) == "Pending"
    return bot.answers()[0]


def home(bot: Bot, user: str) -> Person:
    return Person(bot.context.directory.home_team(), user)


# --- identity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["deploy hello 2.0.0", "pods", "nonsense"])
def test_a_command_without_a_team_is_refused(bot: Bot, text: str) -> None:
    assert "did not say which workspace" in typed(bot, Person("", DEPLOYER), text)
    assert not bot.store.active()


def test_a_click_without_a_team_is_refused(bot: Bot) -> None:
    click = Click(Person("", APPROVER), CHANNEL, "approve", '{"release": "hello-1"}', "1.0")
    reply = handle_click(bot.context, click)
    assert isinstance(reply, Refusal) and "did not say which workspace" in reply.line


def test_the_workspace_that_receives_a_mention_is_not_its_authors() -> None:
    event = {"user": STRANGER, "text": "<@U0BOT> pods", "channel": CHANNEL, "ts": "1.0"}
    assert invocation_of(event, {"team_id": "T0LOCAL"}).person.team == ""


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["deploy hallo 2.0.0", "pods nothing", "rollout undo", "nonsense"])
def test_a_mistake_tells_no_names_to_people_without_a_role(bot: Bot, text: str) -> None:
    bot.context.catalog.access.roles.clear()  # type: ignore[attr-defined]
    said = typed(bot, home(bot, "U0VIEWER"), text)
    assert said == "You need the viewer or deployer or approver or admin role; you have none."


def test_the_home_tab_shows_releases_to_people_with_a_role_alone(
    bot: Bot, slack: LocalSlack
) -> None:
    slack.command(DEPLOYER, CHANNEL, "/deploy hello 2.0.0")
    bot.context.catalog.access.roles[Role.VIEWER] = replace(  # type: ignore[index]
        bot.context.catalog.access.roles[Role.VIEWER], everyone=False
    )
    shown = json.dumps(home_of(slack, "U0VIEWER"))
    assert "hello" not in shown and "whoami" in shown


# --- channels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["deploy hello 2.0.0", "deploy hello", "scale hello 3", "freeze all reason=x", "apply hello"],
)
def test_a_direct_message_takes_no_command_that_changes_something(bot: Bot, text: str) -> None:
    assert typed(bot, home(bot, DEPLOYER), text, DIRECT) == (
        "Commands that change something are not taken in direct messages."
    )
    assert not bot.store.active() and not bot.store.freezes()


@pytest.mark.parametrize("text", ["pods hello", "deploy hello 2.0.0 dry-run"])
def test_reading_works_in_a_direct_message(bot: Bot, text: str) -> None:
    assert typed(bot, home(bot, DEPLOYER), text, DIRECT) == "Pending"


def test_the_form_of_the_home_tab_still_releases(bot: Bot, slack: LocalSlack) -> None:
    press_form_button(slack, DEPLOYER, home_of(slack, DEPLOYER))
    slack.submit(DEPLOYER, {"app": {"deploy_app": "hello"}, "version": {"deploy_version": "2.0.0"}})
    assert [release.id for release in bot.store.active()] == ["hello-1"]


# --- freezes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["unfreeze all", "freeze all reason=mine until=1m", "freeze all reason=mine until=2h"]
)
def test_a_deployer_neither_lifts_nor_shortens_the_freeze_of_an_admin(bot: Bot, text: str) -> None:
    carried_out(bot, home(bot, ADMIN), 'freeze all reason="incident"')
    assert "An admin froze all" in carried_out(bot, home(bot, DEPLOYER), text)
    (freeze,) = bot.store.freezes()
    assert freeze.reason == "incident" and freeze.until is None


def test_a_longer_freeze_stays_that_of_an_admin(bot: Bot) -> None:
    carried_out(bot, home(bot, ADMIN), "freeze all reason=incident until=1h")
    longer = carried_out(bot, home(bot, DEPLOYER), "freeze all reason=longer until=2h")
    assert longer.startswith("all is frozen until")
    assert "An admin froze all" in carried_out(bot, home(bot, DEPLOYER), "unfreeze all")
    assert carried_out(bot, home(bot, ADMIN), "unfreeze all") == "all is no longer frozen"


# --- the app's own cluster ------------------------------------------------------------------------


@pytest.mark.parametrize("more", ["", " dry-run"])
def test_a_release_goes_to_no_cluster_that_the_app_does_not_name(bot: Bot, more: str) -> None:
    elsewhere = replace(bot.context.catalog, clusters=("local", "other"))
    context = replace(bot.context, catalog=elsewhere)
    person = home(bot, DEPLOYER)
    reply = handle_command(
        context, Invocation(person, CHANNEL, f"deploy hello 2.0.0 in=other{more}", "/deploy", "")
    )
    assert isinstance(reply, Refusal)
    assert reply.line == "hello is in local, not in other. Write `in=local`."
    assert not bot.store.active()


# --- buttons --------------------------------------------------------------------------------------


def test_a_forged_finish_ends_no_hold(bot: Bot) -> None:
    bot.store.create(HOLDING, dedup_key="", same_as="", operation="1")
    (release,) = bot.store.active()
    value = json.dumps({"release": release.id})
    reply = handle_click(bot.context, Click(home(bot, DEPLOYER), CHANNEL, "finish", value, "1.0"))
    assert isinstance(reply, Refusal)
    assert reply.line == "Ending the hold early needs the approver role."


# --- kinds of people ------------------------------------------------------------------------------


def test_the_home_tab_tells_a_guest_nothing(bot: Bot, slack: LocalSlack) -> None:
    slack.command(DEPLOYER, CHANNEL, "/deploy hello 2.0.0")
    slack.person("U0VIEWER", is_restricted=True)
    shown = json.dumps(home_of(slack, "U0VIEWER"))
    assert "hello" not in shown and "whoami" in shown


def test_a_person_of_another_workspace_sees_no_home(bot: Bot, slack: LocalSlack) -> None:
    """The event names the workspace that receives it, not the person's own."""
    slack.command(DEPLOYER, CHANNEL, "/deploy hello 2.0.0")
    publish_home(bot.context, home(bot, STRANGER))
    assert "hello" not in json.dumps(slack.home(STRANGER))


@pytest.mark.parametrize("kind", ["is_restricted", "is_deleted"])
def test_a_query_of_a_guest_shows_nothing(bot: Bot, slack: LocalSlack, kind: str) -> None:
    slack.person("U0VIEWER", **{kind: True})
    assert typed(bot, home(bot, "U0VIEWER"), "pods hello") == "Pending"
    assert "you have none" in bot.answers()[0]
    assert "you have none" in typed(bot, home(bot, "U0VIEWER"), "releases")


def test_the_form_names_apps_to_people_with_a_role_alone(bot: Bot, slack: LocalSlack) -> None:
    slack.command(DEPLOYER, CHANNEL, "/deploy")
    place = {"view_id": slack.views(DEPLOYER)[0]["id"]}
    assert "hello" in json.dumps(slack.options(DEPLOYER, "deploy_app", "h", **place))
    bot.context.catalog.access.roles.clear()  # type: ignore[attr-defined]
    assert "hello" not in json.dumps(slack.options(DEPLOYER, "deploy_app", "h", **place))
