"""Two people change a freeze at once: the second is judged by what the first left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.operations.context import Catalog, Context
from bot.operations.queries.change_freeze import change_freeze
from bot.operations.replies import FreezeReply, Refusal
from bot.policy.freezes import Freeze
from bot.policy.permissions import Access, Grant, Role
from bot.ports import StoreUnavailable
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import ADMIN, DEVELOPER, T0, a_query
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

ROLES = {
    Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user})),
    Role.ADMIN: Grant(users=frozenset({ADMIN.user})),
}
ADMINS = Freeze("all", "incident", ADMIN, T0 + 1)


class StoreWithVisitor(InMemoryReleaseStore):
    """``visitor`` comes once, after the freezes were read."""

    visitor: Callable[[], object] | None = None

    def freezes(self) -> tuple[Freeze, ...]:
        found = super().freezes()
        visitor, self.visitor = self.visitor, None
        if visitor is not None:
            visitor()
        return found


def office(store: InMemoryReleaseStore) -> Context:
    unused = cast(Any, None)
    catalog = Catalog({}, ("local",), Access(roles=ROLES))
    return Context(
        store,
        store.queue,
        unused,
        RecordingMessenger(),
        InMemoryDirectory(),
        catalog,
        SlackRendering(),
        unused,
    )


def test_a_deployer_does_not_lift_the_freeze_that_an_admin_just_made() -> None:
    store = StoreWithVisitor(clock=lambda: T0)
    own = replace(ADMINS, by=DEVELOPER, at=T0, by_admin=False)
    store.change_freeze("all", None, own)
    store.visitor = lambda: store.change_freeze("all", own, ADMINS)
    reply = change_freeze(office(store), a_query(UnfreezeCommand("all")), UnfreezeCommand("all"))
    assert isinstance(reply, Refusal) and "An admin froze all" in reply.line
    assert store.freezes() == (ADMINS,)


def test_a_longer_freeze_keeps_the_admin_who_came_between() -> None:
    store = StoreWithVisitor(clock=lambda: T0)
    store.visitor = lambda: store.change_freeze("all", None, replace(ADMINS, until=T0 + 60_000))
    command = FreezeCommand("all", "mine", for_ms=120_000)
    reply = change_freeze(office(store), a_query(command), command)
    assert isinstance(reply, FreezeReply)
    (freeze,) = store.freezes()
    assert freeze.by == DEVELOPER and freeze.by_admin


class StoreThatDies(InMemoryReleaseStore):
    """Its process ends after the change."""

    def change_freeze(self, *args: Any, **kwargs: Any) -> bool:
        super().change_freeze(*args, **kwargs)
        raise StoreUnavailable("gone")


def test_a_freeze_is_in_the_audit_whatever_ends_after_its_change() -> None:
    store = StoreThatDies(clock=lambda: T0)
    command = FreezeCommand("all", "incident")
    with pytest.raises(StoreUnavailable):
        change_freeze(office(store), a_query(command), command)
    assert [line.text for line in store.audit() if line.kind == "froze"] == ["all: incident"]
    assert [freeze.scope for freeze in store.freezes()] == ["all"]
