"""What people asked for is asked of Slack again right before it takes effect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.commands.model import ApplyCommand, RolloutCommand
from bot.operations.context import App, Catalog, Context
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.check_people import Checked, check_people
from bot.operations.lifecycle.control_release import control_release
from bot.operations.queries.run_query import run_query
from bot.policy.freezes import Freeze
from bot.policy.permissions import Access, Grant, PersonKind, Role
from bot.releases.engine.gates import open_gate
from bot.releases.engine.respond import respond
from bot.releases.facts.people import Vote, Voters
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Approve, Promote
from bot.releases.facts.rules import ApprovalRules, Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.rendering import SlackRendering
from tests.blocks.stories import HOLDING, PROMOTING
from tests.builders import ADMIN, DEVELOPER, MANAGER, MINUTE, T0, a_query, a_target
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.unit.operations.test_advance_release import Scene, scene

__all__ = ["scene"]
ACCESS = Access(
    roles={
        Role.DEPLOYER: Grant(groups=frozenset({"S0DEV"})),
        Role.APPROVER: Grant(groups=frozenset({"S0LEADS"})),
    }
)
VOTED = replace(
    PROMOTING,
    progress=replace(
        PROMOTING.progress,
        gate=replace(PROMOTING.progress.gate, votes=(Vote(MANAGER, T0),)),  # type: ignore[type-var]
    ),
)


@dataclass
class Office:
    context: Context
    directory: InMemoryDirectory
    messenger: RecordingMessenger


@pytest.fixture
def office() -> Office:
    unused = cast(Any, None)
    store, messenger = InMemoryReleaseStore(clock=lambda: T0), RecordingMessenger()
    directory = InMemoryDirectory(members())
    app = App(a_target(), Rules(), "C0RELEASES", Strategy.ROLLING)
    catalog = Catalog({"hello": app}, ("local",), ACCESS)
    context = Context(
        store, store.queue, unused, messenger, directory, catalog, SlackRendering(), unused
    )
    return Office(context, directory, messenger)


def members() -> dict[str, frozenset[str]]:
    return {"S0DEV": frozenset({DEVELOPER.user}), "S0LEADS": frozenset({MANAGER.user})}


def checked(office: Office, release: Release) -> Checked:
    found = check_people(office.context, release)
    assert isinstance(found, Checked)
    return found


def votes(release: Release) -> int:
    assert release.progress.gate is not None
    return len(release.progress.gate.votes)


def ended(release: Release) -> bool:
    assert release.progress.gate is not None
    return release.progress.gate.skipped


# --- gates and holds ------------------------------------------------------------------------------


def test_an_approval_counts_while_its_giver_may_approve(office: Office) -> None:
    found = checked(office, VOTED)
    assert votes(found.release) == 1 and not found.events


def test_an_approval_of_someone_who_left_the_group_is_not_counted(office: Office) -> None:
    office.directory.members["S0LEADS"] = frozenset()
    found = checked(office, VOTED)
    assert votes(found.release) == 0
    assert [event.text for event in found.events] == [
        "manager may no longer approve: not counted",
    ]


def of_groups(*votes: Vote) -> Release:
    gate, state = open_gate(VOTED), VOTED.progress.gate
    plan = VOTED.plan
    assert isinstance(gate, ApprovalGate) and state is not None and plan is not None
    named = replace(gate, quorum=len(votes), voters=Voters(one_from_each=("S0LEADS",)))
    steps = tuple(
        replace(step, gates=tuple(named if one == gate else one for one in step.gates))
        for step in plan.steps
    )
    progress = replace(VOTED.progress, gate=replace(state, votes=votes))
    return replace(VOTED, plan=replace(plan, steps=steps), progress=progress)


def test_a_vote_stands_for_the_groups_that_its_giver_is_in_as_the_gate_passes(
    office: Office,
) -> None:
    voted = of_groups(Vote(MANAGER, T0, ("S0LEADS",)))
    assert checked(office, voted).release.progress.gate == voted.progress.gate
    office.context.store.take("members of the catalog's groups")
    office.directory.members["S0LEADS"] = frozenset()
    found = checked(office, voted)
    assert votes(found.release) == 0
    assert found.events[0].text == "manager may no longer approve: not counted"


@pytest.mark.parametrize("kind", [PersonKind.DEACTIVATED, PersonKind.UNKNOWN, PersonKind.STRANGER])
def test_an_approval_of_no_member_is_not_counted(office: Office, kind: PersonKind) -> None:
    office.directory.kinds[MANAGER.user] = kind
    assert votes(checked(office, VOTED).release) == 0


def test_an_approval_waits_while_slack_is_away_and_is_kept(office: Office) -> None:
    office.directory.away = True
    found = checked(office, VOTED)
    assert votes(found.release) == 0 and "waiting for Slack" in found.events[0].text
    decision = respond(found.release, Promote(DEVELOPER, "out of date"), T0)  # changes nothing
    finished = found.finish(decision)
    assert votes(finished.release) == 1
    assert finished.wake_at == T0 + 5_000
    assert not checked(office, VOTED).events, "said once"


def test_a_hold_goes_its_full_time_where_its_ender_may_not_end_it(office: Office) -> None:
    asked = respond(HOLDING, Promote(MANAGER), T0 + MINUTE).release
    assert ended(checked(office, asked).release)
    office.context.store.take("members of the catalog's groups")
    office.directory.members["S0LEADS"] = frozenset()
    found = checked(office, asked)
    assert not ended(found.release) and "may no longer end the hold" in found.events[0].text


def test_a_hold_does_not_end_while_slack_is_away(office: Office) -> None:
    office.directory.away = True
    asked = respond(HOLDING, Promote(MANAGER), T0 + MINUTE).release
    assert not ended(checked(office, asked).release)


# --- before the first write -----------------------------------------------------------------------


@pytest.fixture
def waiting(scene: Scene) -> Scene:
    """A release that waits for the approval of its start."""
    release = scene.store.load(scene.id)
    rules = replace(release.rules, approvals=ApprovalRules(start=1))
    scene.store.save(replace(release, rules=rules), (), operation="asks")
    roles = scene.context.catalog.access.roles
    roles[Role.APPROVER] = Grant(users=frozenset({MANAGER.user}))  # type: ignore[index]
    advance_release(scene.context, scene.id)
    assert scene.store.load(scene.id).phase is Phase.AWAITING_APPROVAL
    return scene


def approve(scene: Scene) -> Release:
    release = scene.store.load(scene.id)
    assert release.plan is not None
    control_release(scene.context, scene.id, Approve(MANAGER, "start", release.plan.hash), "done")
    scene.clock.now += 30_000
    advance_release(scene.context, scene.id)
    return scene.store.load(scene.id)


def test_an_approved_release_starts(waiting: Scene) -> None:
    approve(waiting)
    assert waiting.port.sent


def test_a_waiting_release_does_not_start_in_a_freeze(waiting: Scene) -> None:
    waiting.store.change_freeze("all", None, Freeze("all", "incident", ADMIN, T0))
    assert approve(waiting).phase is Phase.FAILED
    assert not waiting.port.sent


def test_a_waiting_release_does_not_start_for_someone_without_the_role(waiting: Scene) -> None:
    del waiting.context.catalog.access.roles[Role.DEPLOYER]  # type: ignore[attr-defined]
    assert approve(waiting).phase is Phase.FAILED
    assert not waiting.port.sent


def test_a_waiting_release_waits_on_while_slack_is_away(waiting: Scene) -> None:
    directory = waiting.context.directory
    assert isinstance(directory, InMemoryDirectory)
    directory.away = True
    assert approve(waiting).phase is Phase.AWAITING_APPROVAL and not waiting.port.sent
    directory.away = False
    advance_release(waiting.context, waiting.id)
    assert waiting.port.sent


@pytest.mark.parametrize(("voted", "ends"), [(True, False), (False, True)])
def test_an_approved_gate_does_not_expire_while_slack_is_away(
    waiting: Scene, voted: bool, ends: bool
) -> None:
    """Approved in time: only Slack's word on the approver is missing."""
    release = waiting.store.load(waiting.id)
    assert release.plan is not None
    (gate,) = release.plan.start
    assert isinstance(gate, ApprovalGate)
    plan = replace(release.plan, start=(replace(gate, on_expiry="abort"),))
    waiting.store.save(replace(release, plan=plan), (), operation="aborts")
    directory = waiting.context.directory
    assert isinstance(directory, InMemoryDirectory)
    directory.away = True
    if voted:
        assert approve(waiting).phase is Phase.AWAITING_APPROVAL
    waiting.clock.now += 2 * 3_600_000
    again_at = advance_release(waiting.context, waiting.id)
    release = waiting.store.load(waiting.id)
    assert release.phase.is_final == ends
    if voted:
        assert votes(release) == 1 and again_at == waiting.clock.now + 5_000
        directory.away = False
        advance_release(waiting.context, waiting.id)
        assert waiting.port.sent


# --- queries that change something ----------------------------------------------------------------


def test_apply_is_refused_where_the_role_was_lost_since_it_was_shown(office: Office) -> None:
    office.directory.members["S0DEV"] = frozenset()
    run_query(office.context, replace(a_query(ApplyCommand("hello")), confirms={}))
    assert "You need the deployer or admin role" in office.messenger.sent[0].message.text


@pytest.mark.parametrize("command", [ApplyCommand("hello"), RolloutCommand("resume", "hello")])
def test_what_goes_forward_is_refused_while_slack_is_away(office: Office, command: Any) -> None:
    office.directory.away = True
    run_query(office.context, replace(a_query(command), confirms={}))
    assert "Slack does not say whether you may" in office.messenger.sent[0].message.text
