"""Freezes, and what they do not stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.policy.freezes import Freeze, frozen_by, may_override
from bot.policy.permissions import Role
from bot.releases.facts.changes import Change, Deploy, Reapply, Restart, Scale, Undo
from tests.builders import ADMIN, T0

ADMINS, DEPLOYERS = frozenset({Role.ADMIN}), frozenset({Role.DEPLOYER, Role.APPROVER})


def a_freeze(scope: str = "all", until: int | None = None) -> Freeze:
    return Freeze(scope, "incident", ADMIN, T0, until)


@pytest.mark.parametrize("scope", ["all", "hello", "cluster:local"])
def test_a_freeze_covers_its_app_its_cluster_or_all(scope: str) -> None:
    assert frozen_by([a_freeze(scope)], app="hello", cluster="local", now=T0) is not None


@pytest.mark.parametrize("scope", ["auth", "cluster:other", "local"])
def test_a_freeze_of_another_scope_does_not_apply(scope: str) -> None:
    assert frozen_by([a_freeze(scope)], app="hello", cluster="local", now=T0) is None


def test_a_freeze_ends_at_its_time() -> None:
    freeze = a_freeze(until=T0 + 1000)
    assert frozen_by([freeze], app="hello", cluster="local", now=T0 + 999) == freeze
    assert frozen_by([freeze], app="hello", cluster="local", now=T0 + 1000) is None


@pytest.mark.parametrize("change", [Deploy("2.0.0"), Scale(3), Restart(), Reapply({})])
def test_only_an_admin_with_a_reason_overrides_a_freeze(change: Change) -> None:
    assert may_override(change, ADMINS, "customers cannot pay")
    assert not may_override(change, ADMINS, "  ")
    assert not may_override(change, DEPLOYERS, "customers cannot pay")


def test_an_undo_is_never_stopped() -> None:
    assert may_override(Undo(), DEPLOYERS, "")


def test_of_several_the_one_that_takes_two_admins_counts() -> None:
    two = replace(a_freeze("hello"), override="two")
    found = frozen_by([a_freeze(), two], app="hello", cluster="local", now=T0)
    assert found == two
