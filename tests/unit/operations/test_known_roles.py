"""Roles from groups that are read seldom enough for Slack and freshly enough for a first write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from bot.operations.access.roles import READING, fresh_roles, last_known
from bot.operations.context import Catalog, Context
from bot.policy.permissions import Access, Grant, PersonKind, Role, roles_of
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
    assert last_known(office.context, DEVELOPER).roles == {Role.DEPLOYER}
    office.clock[0] += 1_000_000
    assert last_known(office.context, DEVELOPER).roles == frozenset()


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
