"""Several teams share one bot: what each may do where, from the command to its effect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from bot.operations.context import App, Catalog, Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.lifecycle.prepare_release import prepare_release, refusal_to_start
from bot.operations.replies import OpenFormReply, Refusal, WhoamiReply
from bot.operations.requests import Invocation
from bot.policy.permissions import Access, Grant, Role, Scope
from bot.releases.engine.begin import begin
from bot.releases.engine.decision import Decision
from bot.releases.facts.events import EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import T0, a_target, an_observation
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.unit.policy.test_approvals import SRE

CHANNEL, TEAM = "C0RELEASES", "T1"
DEV, SHOP, ADMIN = Person(TEAM, "U0DEV", "dev"), Person(TEAM, "U0SHOP", "shop"), "U0ADMIN"
ROOT = Person(TEAM, ADMIN, "admin")
CANARY = Rules(
    strategies=(Strategy.CANARY,),
    emergency=(Strategy.ROLLING,),
    own_strategy=Strategy.CANARY,
)


def by(*users: str) -> Grant:
    return Grant(users=frozenset(users))


@pytest.fixture
def context() -> Context:
    store, unused = InMemoryReleaseStore(clock=lambda: T0), cast(Any, None)
    apps = {
        "shop": App(a_target(app="shop", deployment="shop"), CANARY, CHANNEL, Strategy.CANARY),
        "cart": App(a_target(app="cart", deployment="cart"), Rules(), CHANNEL, Strategy.ROLLING),
    }
    access = Access(
        frozenset({CHANNEL}),
        {
            Role.VIEWER: Grant(everyone=True),
            Role.DEPLOYER: by(DEV.user),
            Role.ADMIN: by(ADMIN),
        },
        of_apps={"shop": Scope({Role.DEPLOYER: by(SHOP.user)})},
    )
    return Context(
        store,
        store.queue,
        unused,
        RecordingMessenger(),
        InMemoryDirectory(team=TEAM),
        Catalog(apps, ("local",), access),
        SlackRendering(),
        unused,
    )


def typed(context: Context, person: Person, text: str) -> str:
    reply = handle_command(context, Invocation(person, CHANNEL, text, "/pilothouse", ""))
    return reply.line if isinstance(reply, Refusal) else type(reply).__name__


DEPLOYER_OR_ADMIN = "You need the deployer or admin role; you have viewer."


@pytest.mark.parametrize(
    ("person", "text", "reply"),
    [
        (SHOP, "deploy shop 2.0.0", "Receipt"),
        (SHOP, "deploy cart 2.0.0", DEPLOYER_OR_ADMIN),
        (SHOP, "rollout restart cart", DEPLOYER_OR_ADMIN),
        (SHOP, "freeze shop reason=incident", "Pending"),
        (SHOP, "freeze all reason=incident", DEPLOYER_OR_ADMIN),
        (SHOP, "unfreeze cluster:local", DEPLOYER_OR_ADMIN),
        (SHOP, "pods cart", "Pending"),
        (SHOP, "deploy", OpenFormReply.__name__),
        (DEV, "deploy cart 2.0.0", "Receipt"),
        (DEV, "deploy shop 2.0.0", DEPLOYER_OR_ADMIN),
        (DEV, "scale shop 3", DEPLOYER_OR_ADMIN),
        (ROOT, "deploy shop 2.0.0", "Receipt"),
    ],
)
def test_a_role_counts_for_its_own_app(
    context: Context, person: Person, text: str, reply: str
) -> None:
    assert typed(context, person, text) == reply


def test_a_role_that_was_moved_to_another_app_starts_nothing(context: Context) -> None:
    typed(context, SHOP, "deploy shop 2.0.0")
    (release,) = context.store.active()
    assert refusal_to_start(context, release) == ""
    moved = replace(context.catalog.access, of_apps={"cart": Scope({Role.DEPLOYER: by("U0SHOP")})})
    context = replace(context, catalog=replace(context.catalog, access=moved))
    assert "no longer has the deployer or admin role" in refusal_to_start(context, release)


def test_whoami_names_the_apps_with_other_roles(context: Context) -> None:
    reply = handle_command(context, Invocation(SHOP, CHANNEL, "whoami", "/pilothouse", ""))
    assert isinstance(reply, WhoamiReply) and reply.roles == ("viewer",)
    assert reply.elsewhere == (("shop", ("deployer", "viewer")),)
    assert "Roles in shop: deployer, viewer" in context.render.reply(reply, now=T0).text


def test_a_member_of_a_named_group_promotes_without_a_role(context: Context) -> None:
    """By typing too: the gate decides, and nobody gets further by it."""
    access = replace(context.catalog.access, voters=frozenset({"S0SRE"}))
    context = replace(context, catalog=replace(context.catalog, access=access))
    assert typed(context, DEV, "rollout promote shop").startswith("No release of shop is running")
    release = replace(SRE, id="", target=a_target(app="shop", deployment="shop"))
    context.store.create(release, dedup_key="", same_as="", operation="1")
    assert typed(context, DEV, "rollout promote shop").startswith("Approving needs someone of")
    assert isinstance(context.directory, InMemoryDirectory)
    context.directory.known["S0SRE"] = frozenset({DEV.user})
    assert typed(context, DEV, "rollout promote shop") == "TextReply"


# --- strategies -----------------------------------------------------------------------------------

ONLY = "shop is released by canary, "


@pytest.mark.parametrize(
    ("person", "text", "reply"),
    [
        (SHOP, "deploy shop 2.0.0 rolling", f"{ONLY}and by rolling only in an emergency."),
        (SHOP, "deploy shop 2.0.0 bluegreen", f"{ONLY}not by bluegreen."),
        (ROOT, "deploy shop 2.0.0 bluegreen", f"{ONLY}not by bluegreen."),
        (
            ROOT,
            "deploy shop 2.0.0 rolling reason=hotfix",
            f"{ONLY}and by rolling only in an emergency.",
        ),
        (ROOT, 'deploy shop 2.0.0 rolling reason="customers cannot pay"', "Receipt"),
        (SHOP, "rollout undo shop", "Receipt"),
    ],
)
def test_a_strategy_is_the_apps_or_an_admins_in_an_emergency(
    context: Context, person: Person, text: str, reply: str
) -> None:
    assert typed(context, person, text) == reply


def test_an_emergency_is_audited_announced_and_waits_for_no_approval(context: Context) -> None:
    typed(context, ROOT, 'deploy shop 2.0.0 rolling reason="customers cannot pay"')
    (release,) = context.store.active()
    seen = an_observation()
    prepared = prepare_release(context, release, seen)
    assert isinstance(prepared, Release)
    assert prepared.reason == "customers cannot pay; in an emergency by rolling"
    audited = {line.kind: line.text for line in context.store.audit(app="shop")}
    assert audited["used an emergency strategy"] == "rolling is an emergency strategy of shop"
    decision = begin(Decision(prepared), seen, T0)
    (event,) = [one for one in decision.events if one.kind is EventKind.OVERRODE]
    assert event.text == "admin released it in an emergency by rolling"
    shown = context.render.announcement(decision.release, event)
    assert shown is not None and shown[1]
    assert decision.release.plan is not None and decision.release.plan.start == ()
