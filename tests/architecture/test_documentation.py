"""The documentation is true: pages made from the code are current, links lead somewhere,
permissions are told completely."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import get_args

import pytest

from bot.policy.permissions import Role
from bot.releases.facts import actions, changes, requests
from bot.releases.facts.causes import FailureClass, Verdict
from bot.releases.facts.events import EventKind
from bot.releases.facts.plan import Condition
from bot.releases.facts.release import Phase
from bot.releases.facts.target import Strategy
from bot.slack.manifest import SCOPES
from tests.architecture.sources import TOP, python_files, tracked_files, tree_of
from tests.reference_pages import DOCS, PAGES

PROSE = tuple(path for path in tracked_files() if path.suffix == ".md")
RBAC = (TOP / "helm" / "pilothouse" / "templates" / "rbac.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), (
        "python -m tests.reference_pages writes it anew"
    )


@pytest.mark.parametrize("page", PROSE, ids=str)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    broken = []
    for target in re.findall(
        r"\]\((?!https?:|mailto:)([^)\s]+)\)", (TOP / page).read_text(encoding="utf-8")
    ):
        name, _, heading = target.partition("#")
        file = (TOP / page.parent / name).resolve() if name else TOP / page
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append(target)
    assert not broken


def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_permission_that_is_asked_for_is_explained() -> None:
    page = (DOCS / "reference" / "permissions.md").read_text(encoding="utf-8")
    resources = {
        name.strip()
        for line in re.findall(r"resources: \[(.+)\]", RBAC)
        for name in line.split(",")
    }
    assert {"deployments", "secrets"} <= resources
    missing = [scope for scope in SCOPES if f"`{scope}`" not in page] + [
        name for name in sorted(resources) if name not in page
    ]
    assert not missing


def values(enum: type[StrEnum]) -> Callable[[], list[str]]:
    return lambda: [member.value for member in enum]


def kinds(union: object) -> Callable[[], list[str]]:
    return lambda: [member.kind for member in get_args(union)]


def rooms() -> list[str]:
    starts = [path for path in python_files("bot", "jobs", "config") if path.name == "__init__.py"]
    return [str(path.parent) for path in starts if path.parent != Path("bot")]


def gates() -> set[str]:
    calls = [
        node
        for path in python_files("bot/releases")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
    ]
    made = [call for call in calls if getattr(call.func, "id", "") in ("ApprovalGate", "HoldGate")]
    return {ast.literal_eval(call.args[0]) for call in made}


DEFINED: dict[str, Callable[[], Iterable[str]]] = {
    "Phases": values(Phase),
    "Events": values(EventKind),
    "Failure classes": values(FailureClass),
    "Verdicts": values(Verdict),
    "Strategies": values(Strategy),
    "Roles": values(Role),
    "Conditions": lambda: Condition.__members__,
    "Changes": kinds(changes.Change),
    "Requests": kinds(requests.Request),
    "Actions": kinds(actions.Action),
    "Gates": gates,
    "Rooms": rooms,
}


def glossary(section: str) -> list[str]:
    page = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    text = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [row.strip("`") for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)][1:]


@pytest.mark.parametrize("section", DEFINED)
def test_the_glossary_has_what_the_code_has(section: str) -> None:
    assert sorted(glossary(section)) == sorted(DEFINED[section]())


def test_the_glossary_gives_a_word_one_meaning() -> None:
    assert [word for word, times in Counter(glossary("Words")).items() if times > 1] == []
    assert glossary("Words") == sorted(glossary("Words"))
