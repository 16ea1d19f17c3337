"""A lock holds all that the code it is for imports: what happens to be installed beside it on a
developer's machine does not count."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.sources import OF_AN_EXTRA, nodes_of, python_files, text_of

PRODUCT = ("bot", "jobs", "config")


@cache
def imported(path: Path) -> frozenset[str]:
    return frozenset(names_of_imports(path))


def names_of_imports(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and called(node).endswith("find_spec"):
            yield from (
                str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)
            )


def called(node: ast.Call) -> str:
    """The last part of the name."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("lock", "folders"), [("runtime", PRODUCT), ("sandbox", (*PRODUCT, "sandbox"))]
)
def test_a_lock_covers_every_import_of_its_code(lock: str, folders: tuple[str, ...]) -> None:
    locked = {
        canonical(name)
        for name in re.findall(
            r"^([\w.-]+)==", text_of(Path(f"requirements/{lock}.txt")), re.MULTILINE
        )
    }
    owners = packages_distributions()
    needed = [path for path in python_files(*folders) if path != OF_AN_EXTRA]
    names = {name for path in needed for name in imported(path)} & set(owners) - {
        *PRODUCT,
        "sandbox",
    }
    assert {"kubernetes", "redis"} <= names
    assert [
        name for name in sorted(names) if not {canonical(owner) for owner in owners[name]} & locked
    ] == []
