"""Roles from groups that are read seldom enough for Slack and freshly enough for a first write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.operations.access.refuse import denied_now, refuse, refuse_reader
from bot.operations.access.roles import (
    KIND_FOR_READING_MS,
    KIND_MS,
    READING,
    asker_now,
    fresh_roles,
    is_known,
    last_known,
)
from bot.operations.context import Catalog, Context
from bot.policy.decision import STARTING
from bot.policy.permissions import WORKSPACE, Access, Grant, PersonKind, Role, roles_of
from bot.ports import SlackUnavailable
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import DEVELOPER, MANAGER, T0
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore

NAMED = frozenset({DEVELOPER.user})
ACCESS = Access(frozenset(), {Role.DEPLOYER: Grant(groups=frozenset({"S0DEV"}))})


@dataclass
class Office:
    context: Context
    directory: InMemoryDirectory
    clock: list[int]


@pytest.fixture
def office() -> Office:
    clock, unused = [T0], cast(Any, None)
    directory = InMemoryDirectory(
        {"S0DEV": frozenset({DEVELOPER.user}), "S0OTHER": frozenset({"U1"})}
    )
    store = InMemoryReleaseStore(clock=lambda: clock[0])
    catalog = Catalog({}, ("local",), ACCESS)
    return Office(
        Context(store, store.queue, unused, unused, directory, catalog, SlackRendering(), unused),
        directory,
        clock,
    )


def test_forty_starting_releases_read_groups_once(office: Office) -> None:
    for _ in range(40):
        assert fresh_roles(office.context, DEVELOPER) == {Role.DEPLOYER}
        assert fresh_roles(office.context, MANAGER) == frozenset()
    assert office.directory.asked == 1


def test_leaving_a_group_ends_its_role_within_seconds(office: Office) -> None:
    assert fresh_roles(office.context, DEVELOPER) == {Role.DEPLOYER}
    office.directory.members["S0DEV"] = frozenset()
    office.clock[0] += 10_000
    assert fresh_roles(office.context, DEVELOPER) == frozenset()


def test_while_slack_is_away_no_known_group_moves_anything_forward(
    office: Office,
) -> None:
    office.directory.away = True
    with pytest.raises(SlackUnavailable):
        fresh_roles(office.context, DEVELOPER)
    office.directory.known = dict(office.directory.members)
    with pytest.raises(SlackUnavailable):
        fresh_roles(office.context, DEVELOPER)


def test_members_of_other_groups_are_not_stored(office: Office) -> None:
    fresh_roles(office.context, DEVELOPER)
    assert "U1" not in str(office.context.store.peek("members of the catalog's groups"))


@pytest.mark.parametrize(
    "kind",
    [PersonKind.DEACTIVATED, PersonKind.UNKNOWN, PersonKind.STRANGER, PersonKind.BOT],
)
def test_only_people_of_the_workspace_have_roles(office: Office, kind: PersonKind) -> None:
    office.directory.kinds[DEVELOPER.user] = kind
    assert fresh_roles(office.context, DEVELOPER) == frozenset()


def test_everyone_means_no_guest_but_a_named_guest_has_the_role() -> None:
    everyone = Access(roles={Role.VIEWER: Grant(everyone=True), Role.DEPLOYER: Grant(users=NAMED)})
    assert roles_of(everyone, "U1", (), PersonKind.GUEST) == frozenset()
    assert roles_of(everyone, DEVELOPER.user, (), PersonKind.GUEST) == {Role.DEPLOYER}


def test_the_membership_of_the_last_day_serves_what_makes_safer(office: Office) -> None:
    fresh_roles(office.context, DEVELOPER)
    office.directory.away = True
    office.clock[0] += 86_000_000
    assert last_known(office.context, DEVELOPER).roles(ACCESS) == {Role.DEPLOYER}
    office.clock[0] += 1_000_000
    assert last_known(office.context, DEVELOPER).roles(ACCESS) == frozenset()


def test_slacks_own_pause_is_kept_by_all_processes(office: Office) -> None:
    office.directory.away, office.directory.retry_after_ms = True, 20_000
    for _ in range(5):
        with pytest.raises(SlackUnavailable) as refused:
            fresh_roles(office.context, DEVELOPER)
    assert office.directory.asked == 1 and refused.value.retry_after_ms == 20_000
    office.clock[0] += 20_001
    office.directory.away = False
    assert fresh_roles(office.context, DEVELOPER) == {Role.DEPLOYER}


def test_while_one_process_reads_the_others_wait_briefly(office: Office) -> None:
    office.context.store.put(READING, "another", ttl_ms=1_000)
    with pytest.raises(SlackUnavailable) as busy:
        fresh_roles(office.context, DEVELOPER)
    assert office.directory.asked == 0 and busy.value.retry_after_ms == 500


@pytest.mark.parametrize("kind", [PersonKind.DEACTIVATED, PersonKind.GUEST])
def test_an_account_that_returns_is_not_refused_by_what_it_was(
    office: Office, kind: PersonKind
) -> None:
    everyone = {Role.VIEWER: Grant(everyone=True), Role.DEPLOYER: Grant(everyone=True)}
    context = replace(office.context, catalog=Catalog({}, ("local",), Access(roles=everyone)))
    office.directory.kinds[DEVELOPER.user] = kind
    fresh_roles(context, DEVELOPER)
    assert refuse(context, DEVELOPER, STARTING) is not None
    office.clock[0] += KIND_FOR_READING_MS
    assert refuse(context, DEVELOPER, STARTING) is None
    assert denied_now(
        context, asker_now(context, DEVELOPER, makes_safer=False), STARTING, WORKSPACE
    )
    office.directory.kinds[DEVELOPER.user] = PersonKind.MEMBER
    office.clock[0] += KIND_MS
    assert not denied_now(
        context, asker_now(context, DEVELOPER, makes_safer=False), STARTING, WORKSPACE
    )


def test_what_a_guest_may_read_is_not_widened_while_slack_is_away(office: Office) -> None:
    everyone = Access(roles={Role.VIEWER: Grant(everyone=True)})
    context = replace(office.context, catalog=Catalog({}, ("local",), everyone))
    office.directory.kinds[DEVELOPER.user] = PersonKind.GUEST
    fresh_roles(context, DEVELOPER)
    office.clock[0] += KIND_FOR_READING_MS
    office.directory.away = True
    assert not is_known(context, DEVELOPER)  # so a worker asks Slack before it answers
    assert refuse_reader(context, DEVELOPER) is not None
