"""Which strategies may bring a new version of an app, and which of them in an emergency alone?"""

from __future__ import annotations

from collections.abc import Collection

from bot.policy.permissions import Permission, Role, may
from bot.policy.reasons import explains
from bot.releases.facts.changes import Change, Deploy
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Target


def may_use(rules: Rules, change: Change, roles: Collection[Role], reason: str) -> bool:
    """Only a new version has a strategy to choose. An emergency needs an admin and a reason."""
    if not isinstance(change, Deploy) or change.strategy in rules.strategies:
        return True
    return is_emergency(rules, change) and may(roles, Permission.ADMIN) and explains(reason)


def is_emergency(rules: Rules, change: Change) -> bool:
    return isinstance(change, Deploy) and change.strategy in rules.emergency


def refusal_of_strategy(target: Target, rules: Rules, change: Change) -> str:
    """ "hello is released by canary or bluegreen, and by rolling only in an emergency." """
    usual = " or ".join(one.value for one in rules.strategies)
    chosen = change.strategy.value if isinstance(change, Deploy) else ""
    if is_emergency(rules, change):
        return f"{target.app} is released by {usual}, and by {chosen} only in an emergency."
    return f"{target.app} is released by {usual}, not by {chosen}."
