"""Who may do what is decided in one module: no other asks the rules that it is composed of."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import nodes_of, python_files, tree_of

DECISION = Path("bot/policy/decision.py")
RULES = {
    "bot.policy.approvals": {"refusal_to_ask", "refusal_to_approve"},
    "bot.policy.freezes": {"may_override", "refusal_to_end"},
    "bot.policy.permissions": {"may", "refusal_of_role", "takes_commands_in"},
    "bot.policy.strategies": {"may_use"},
}
WITH_OBJECTS = {Path("bot/operations/lifecycle/apply_objects.py")}
"""What an `/apply` brings needs roles of its own, judged with the objects in hand."""
GATHERS = Path("bot/operations/access")
"""The only room that asks the decision: it knows the person. Roles are its affair alone."""
FACTS: dict[str, set[Path]] = {"roles_of": set(), "denial": {GATHERS / "refuse.py"}}


@cache
def imported(path: Path) -> set[tuple[str, str]]:
    return {
        (node.module, name.name)
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }


def outside() -> list[Path]:
    return [
        path
        for path in python_files("bot", "jobs", "config")
        if path != DECISION and path.parent != DECISION.parent
    ]


@pytest.mark.parametrize("module", RULES)
def test_only_the_decision_asks_the_rules(module: str) -> None:
    found = {
        (str(path), name)
        for path in set(outside()) - WITH_OBJECTS
        for source, name in imported(path)
        if source == module and name in RULES[module]
    }
    assert found == set()


@pytest.mark.parametrize("fact", FACTS)
def test_only_one_module_gathers_what_is_decided_on(fact: str) -> None:
    users = {path for path in outside() if any(name == fact for _, name in imported(path))}
    assert users == FACTS[fact]


def test_every_rule_exists() -> None:
    for module, names in RULES.items():
        source = Path(module.replace(".", "/") + ".py")
        defined = {node.name for node in tree_of(source).body if isinstance(node, ast.FunctionDef)}
        assert names <= defined
