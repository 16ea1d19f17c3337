"""Windows of the catalog: what they refuse, what they let through, and who overrides them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from bot.commands.model import UnfreezeCommand
from bot.operations.context import App, Catalog, Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.lifecycle.prepare_release import prepare_release, refusal_to_start
from bot.operations.queries.change_freeze import change_freeze
from bot.operations.queries.list_apps import frozen_lines
from bot.operations.replies import Refusal
from bot.operations.requests import Invocation
from bot.policy.approvals import refusal_to_approve
from bot.policy.freezes import FreezeWindow
from bot.policy.permissions import Access, Grant, Role
from bot.releases.engine.begin import begin
from bot.releases.engine.decision import Decision
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.card import card
from bot.slack.blocks.rendering import SlackRendering
from config.freeze_windows import Window
from tests.builders import ADMIN, DEVELOPER, MINUTE, a_query, a_target, an_observation
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

CHANNEL = "C0RELEASES"
FRIDAY = round(datetime(2026, 12, 4, 15, tzinfo=UTC).timestamp() * 1000)  # 16:00 in Berlin
WHY = "customers cannot pay"
WINDOW = FreezeWindow(
    "all",
    "weekend",
    "one",
    Window("FREQ=WEEKLY;BYDAY=FR;BYHOUR=16", 64 * 60 * MINUTE, "Europe/Berlin"),
)
LINE = "all is frozen by the catalog until 2026-12-07T07:00:00Z: weekend"


class Office:
    def __init__(self, window: FreezeWindow = WINDOW) -> None:
        self.now = FRIDAY
        store, unused = InMemoryReleaseStore(clock=lambda: self.now), cast(Any, None)
        self.store = store
        app = App(a_target(), Rules(), CHANNEL, Strategy.ROLLING)
        access = Access(
            frozenset({CHANNEL}),
            {
                Role.VIEWER: Grant(everyone=True),
                Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user})),
                Role.ADMIN: Grant(users=frozenset({ADMIN.user, "U0SECOND"})),
            },
        )
        self.context = Context(
            store,
            store.queue,
            unused,
            RecordingMessenger(),
            InMemoryDirectory(team=DEVELOPER.team),
            Catalog({"hello": app}, ("local",), access, windows=(window,)),
            SlackRendering(access=access),
            unused,
        )

    def typed(self, person: Person, text: str) -> str:
        asked = Invocation(person, CHANNEL, text, "/pilothouse", "")
        reply = handle_command(self.context, asked)
        return f"{reply.line} {reply.hint}" if isinstance(reply, Refusal) else type(reply).__name__

    def begun(self, text: str) -> Release:
        assert self.typed(ADMIN, text) == "Receipt"
        (release,) = self.context.store.active()
        prepared = prepare_release(self.context, release, an_observation())
        assert isinstance(prepared, Release)
        return begin(Decision(prepared), an_observation(), self.now).release


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_window_refuses_releases_while_it_is_open(office: Office) -> None:
    refusal = f"{LINE} An admin may override it with a reason; it is a window of the catalog."
    assert office.typed(DEVELOPER, "deploy hello 2.0.0") == refusal
    apps = tuple(office.context.catalog.apps.values())
    assert frozen_lines(office.context, apps) == [f"🧊 {LINE}"]
    office.now = FRIDAY - 1
    assert office.typed(DEVELOPER, "deploy hello 2.0.0") == "Receipt"
    assert frozen_lines(office.context, apps) == []


def test_a_release_that_waited_into_a_window_does_not_begin(office: Office) -> None:
    office.now = FRIDAY - 1
    office.typed(DEVELOPER, "deploy hello 2.0.0")
    (release,) = office.context.store.active()
    assert refusal_to_start(office.context, release) == ""
    office.now = FRIDAY
    assert refusal_to_start(office.context, release) == f"not started: {LINE}"


def test_a_way_back_is_never_stopped(office: Office) -> None:
    assert office.typed(DEVELOPER, "rollout undo hello") == "Receipt"
    (release,) = office.context.store.active()
    assert refusal_to_start(office.context, release) == ""


@pytest.mark.parametrize(
    ("person", "reason", "starts"),
    [(ADMIN, WHY, True), (ADMIN, "hotfix", False), (DEVELOPER, WHY, False)],
)
def test_an_admin_overrides_it_with_a_reason_of_some_words(
    office: Office, person: Person, reason: str, starts: bool
) -> None:
    reply = office.typed(person, f'deploy hello 2.0.0 reason="{reason}"')
    assert (reply == "Receipt") == starts


def test_no_command_lifts_a_window(office: Office) -> None:
    reply = change_freeze(
        office.context, a_query(UnfreezeCommand("all"), asker=ADMIN), UnfreezeCommand("all")
    )
    assert isinstance(reply, Refusal) and reply.line == f"{LINE}."


# --- where it takes two admins --------------------------------------------------------------------


def test_a_second_admin_approves_the_start(office: Office) -> None:
    two = Office(replace(WINDOW, override="two"))
    release = two.begun(f'deploy hello 2.0.0 reason="{WHY}"')
    assert release.phase is Phase.AWAITING_APPROVAL and release.plan is not None
    assert [gate.name for gate in release.plan.start] == ["override"]
    second = Person(ADMIN.team, "U0SECOND", "second")
    may = {Role.ADMIN}
    assert refusal_to_approve(release, second, may) == ""
    assert refusal_to_approve(release, ADMIN, may).startswith("You started this release")
    lacking = "Overriding the freeze needs the admin role."
    assert refusal_to_approve(release, DEVELOPER, {Role.APPROVER}) == lacking
    assert "an admin other than" in card(release, now=two.now).text or "an admin other than" in str(
        card(release, now=two.now).blocks
    )
    one = office.begun(f'deploy hello 2.0.0 reason="{WHY}"')
    assert one.plan is not None and one.plan.start == ()


def test_a_window_for_two_that_began_after_the_plan_asks_anew(office: Office) -> None:
    two = Office(replace(WINDOW, override="two"))
    two.now = FRIDAY - 1
    release = two.begun(f'deploy hello 2.0.0 reason="{WHY}"')
    two.now = FRIDAY
    assert refusal_to_start(two.context, release) == (
        f"not started: {LINE}. It takes two admins: start it again"
    )


def test_an_undo_needs_nobody_in_a_window_for_two() -> None:
    two = Office(replace(WINDOW, override="two"))
    assert two.typed(DEVELOPER, "rollout undo hello") == "Receipt"
    (release,) = two.context.store.active()
    assert refusal_to_start(two.context, release) == ""
