"""The documentation is true: pages made from the code are current, links lead somewhere,
permissions are told completely."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from bot.policy.permissions import Role
from bot.releases.facts import actions, changes, requests
from bot.releases.facts.causes import FailureClass, Verdict
from bot.releases.facts.events import EventKind
from bot.releases.facts.plan import Condition, Confirmation
from bot.releases.facts.release import Phase
from bot.releases.facts.target import Strategy
from bot.slack.manifest import SCOPES
from config.entries import CatalogFile
from config.settings import PLAIN, SECRETS
from tests.architecture.sources import TOP, nodes_of, python_files, text_of, tracked_files
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


@pytest.mark.parametrize("page", PROSE, ids=str)
def test_every_path_of_the_repository_exists(page: Path) -> None:
    named = re.findall(r"`((?:bot|jobs|config|docs|tests)/[\w./-]+)`", text_of(page))
    assert [path for path in named if not (TOP / path).exists()] == []


@pytest.mark.parametrize("page", PROSE, ids=str)
def test_a_function_is_where_a_page_says_it_is(page: Path) -> None:
    """Written as `name` (`path`)."""
    named = re.findall(r"`(\w+)`\*{0,2}\s+\(`([\w/.-]+\.py)`\)", text_of(page))
    assert [(name, path) for name, path in named if f"def {name}(" not in text_of(Path(path))] == []


def test_every_threat_names_a_test_that_causes_it() -> None:
    rows = re.findall(r"^\| .+\|$", text_of(Path("docs/explanation/threat-model.md")), re.MULTILINE)
    first = rows.index("| threat | what it meets | shown by |")
    last = rows.index("| text | most | set by |")
    threats = [row for row in rows[first:last] if not row.startswith("| threat |")]
    assert len(threats) > 40
    assert [row for row in threats if not re.search(r"`test_\w+` \(`tests/", row)] == []


def test_the_limits_of_texts_are_those_of_the_code() -> None:
    page = text_of(Path("docs/explanation/threat-model.md"))
    limits = re.findall(r"^\| [^|]+ \| ([\d,]+) \| `([\w.]+)\.([A-Z_]+)` \|$", page, re.MULTILINE)
    assert len(limits) > 10
    wrong = [
        f"{module}.{name}"
        for number, module, name in limits
        if getattr(importlib.import_module(module), name) != int(number.replace(",", ""))
    ]
    assert wrong == []


def test_every_decision_record_is_listed() -> None:
    listed = text_of(Path("docs/decisions/README.md"))
    decisions = [path.name for path in (DOCS / "decisions").glob("0*.md")]
    assert [name for name in sorted(decisions) if f"({name})" not in listed] == []


def test_the_catalog_page_holds_the_example() -> None:
    example = text_of(Path("config/example/catalog.yaml"))
    assert f"```yaml\n{example}```\n" in text_of(Path("docs/reference/catalog.md"))


def keys(entry: type[BaseModel]) -> Iterator[str]:
    """Every key of the catalog, as it is written in YAML."""
    for name, field in entry.model_fields.items():
        yield field.alias or name
        for part in (field.annotation, *nested(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from keys(part)


def nested(annotation: object) -> Iterator[object]:
    for part in get_args(annotation):
        yield from (part, *nested(part))


def test_the_example_catalog_shows_every_key() -> None:
    example = text_of(Path("config/example/catalog.yaml"))
    shown = set(re.findall(r"(\w+):", example))
    assert set(keys(CatalogFile)) <= shown


@pytest.mark.parametrize("name", [*SECRETS, *PLAIN])
def test_every_variable_of_the_environment_is_explained(name: str) -> None:
    assert f"`{name}`" in text_of(Path("docs/reference/environment.md"))


def test_every_requested_permission_is_explained() -> None:
    page = (DOCS / "reference" / "permissions.md").read_text(encoding="utf-8")
    resources = {
        name.strip()
        for line in re.findall(r"resources: \[(.+)\]", RBAC)
        for name in line.split(",")
        if "{{" not in name
    }
    assert {"deployments", "pods/log"} <= resources
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
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
    ]
    made = [call for call in calls if getattr(call.func, "id", "") in ("ApprovalGate", "HoldGate")]
    firsts = [call.args[0] for call in made if isinstance(call.args[0], ast.Constant)]
    return {*map(ast.literal_eval, firsts), *Confirmation}


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
def test_the_glossary_covers_the_code(section: str) -> None:
    assert sorted(glossary(section)) == sorted(DEFINED[section]())


def test_the_glossary_gives_a_word_one_meaning() -> None:
    assert [word for word, times in Counter(glossary("Words")).items() if times > 1] == []
    assert glossary("Words") == sorted(glossary("Words"))
