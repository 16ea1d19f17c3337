"""What the tables promise is there at both ends: a command has a journey, an action is carried out
and permitted."""

from __future__ import annotations

import ast
import re
from typing import get_args

import pytest

from bot.cluster.permissions import NEEDED
from bot.commands.table import BY_NAME
from bot.releases.facts.actions import Action
from tests.architecture.sources import TOP, nodes_of
from tests.mutants.defects import DEFECTS, Defect

VERBS = {"Patch": "patch", "Create": "create", "Delete": "delete"}


@pytest.mark.parametrize("name", list(BY_NAME))
def test_every_command_is_typed_in_a_journey(name: str) -> None:
    typed = re.compile(rf"[\"'](/pilothouse |/){name}\b")
    assert any(
        typed.search(path.read_text(encoding="utf-8"))
        for path in (TOP / "tests" / "journeys").glob("test_*.py")
    )


@pytest.mark.parametrize("action", [one.__name__ for one in get_args(Action)])
def test_every_action_has_a_branch_and_a_permission(
    action: str,
) -> None:
    patterns = [
        node.pattern
        for node in nodes_of(TOP / "bot" / "cluster" / "apply.py")
        if isinstance(node, ast.match_case)
    ]
    assert action in {
        pattern.cls.id
        for pattern in patterns
        if isinstance(pattern, ast.MatchClass) and isinstance(pattern.cls, ast.Name)
    }
    word, kind = re.findall("[A-Z][a-z]+", action)
    assert any(
        VERBS[word] in verbs
        for _, resource, verbs in NEEDED
        if resource.endswith(f"{kind.lower()}s")
    )


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: one.name)
def test_every_seeded_defect_still_fits_the_code(defect: Defect) -> None:
    """`make mutants` stops at one whose text is not there once."""
    assert (TOP / defect.file).read_text().count(defect.there) == 1
    path, _, name = defect.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (TOP / path).read_text()
