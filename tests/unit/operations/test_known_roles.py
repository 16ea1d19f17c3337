"""Roles from groups that are read seldom enough for Slack and freshly enough for a first write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bot.operations.access.roles import fresh_roles
from bot.operations.context import Catalog, Context
from bot.policy.permissions import Access, Grant, Role
from bot.ports import SlackUnavailable
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import DEVELOPER, MANAGER, T0
from tests.fakes.in_memory_store import InMemoryReleaseStore

ACCESS = Access(frozenset(), {Role.DEPLOYER: Grant(groups=frozenset({"S0DEV"}))})


@dataclass
class InMemoryDirectory:
    """``asked`` counts the reads; with ``away`` Slack does not answer, and what was known still
    serves."""

    members: dict[str, frozenset[str]] = field(
        default_factory=lambda: {"S0DEV": frozenset({DEVELOPER.user}), "S0OTHER": frozenset({"U1"})}
    )
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    asked: int = 0
    away: bool = False

    def memberships(self) -> Mapping[str, frozenset[str]]:
        self.asked += 1
        if self.away:
            raise SlackUnavailable("away")
        self.known = dict(self.members)
        return self.known

    def groups_of(self, user: str) -> frozenset[str]:
        if not self.known:
            raise SlackUnavailable("away")
        return frozenset(group for group, users in self.known.items() if user in users)

    def home_team(self) -> str:
        return "T0LOCAL"

    def name_of(self, user: str) -> str:
        return user


@dataclass
class Office:
    context: Context
    directory: InMemoryDirectory
    clock: list[int]


@pytest.fixture
def office() -> Office:
    clock, directory, unused = [T0], InMemoryDirectory(), cast(Any, None)
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


def test_while_slack_is_away_known_groups_count_and_unknown_ones_refuse(
    office: Office,
) -> None:
    office.directory.away = True
    with pytest.raises(SlackUnavailable):
        fresh_roles(office.context, DEVELOPER)
    office.directory.known = dict(office.directory.members)
    assert fresh_roles(office.context, DEVELOPER) == {Role.DEPLOYER}


def test_members_of_other_groups_are_not_stored(office: Office) -> None:
    fresh_roles(office.context, DEVELOPER)
    assert "U1" not in str(office.context.store.peek("members of the catalog's groups"))
