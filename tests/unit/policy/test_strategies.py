"""Which strategies bring a new version: the app's, and in an emergency an admin's with a reason."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from bot.policy.permissions import Role
from bot.policy.strategies import may_use, refusal_of_strategy
from bot.releases.facts.changes import Change, Deploy, Restart, Scale, Undo
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from tests.builders import a_target

ROLLING, CANARY, BLUEGREEN = Strategy
RULES = Rules(strategies=(CANARY,), emergency=(ROLLING,))
WHY = "customers cannot pay"


@pytest.mark.parametrize(
    ("change", "roles", "reason", "may"),
    [
        (Deploy("2.0.0", CANARY), {Role.DEPLOYER}, "", True),
        (Deploy("2.0.0", ROLLING), {Role.DEPLOYER}, WHY, False),
        (Deploy("2.0.0", ROLLING), {Role.ADMIN}, "hotfix", False),
        (Deploy("2.0.0", ROLLING), {Role.ADMIN}, WHY, True),
        (Deploy("2.0.0", BLUEGREEN), {Role.ADMIN}, WHY, False),
        (Undo(), {Role.DEPLOYER}, "", True),
        (Restart(), {Role.DEPLOYER}, "", True),
        (Scale(3), {Role.DEPLOYER}, "", True),
    ],
)
def test_a_new_version_comes_by_the_strategies_of_the_app(
    change: Change, roles: Collection[Role], reason: str, may: bool
) -> None:
    assert may_use(RULES, change, roles, reason) == may


def test_the_refusal_names_what_is_allowed() -> None:
    rules, target = Rules(strategies=(CANARY, BLUEGREEN), emergency=()), a_target()
    assert refusal_of_strategy(target, rules, Deploy("2", ROLLING)) == (
        "hello is released by canary or bluegreen, not by rolling."
    )
    assert refusal_of_strategy(target, RULES, Deploy("2", ROLLING)) == (
        "hello is released by canary, and by rolling only in an emergency."
    )
