"""Which tests run in one test process, one after the other: those that share something costly.

A file's fixtures start their servers, and the architecture tests read their syntax trees, once. The
journeys share a sandbox, a bot, a worker and their children, whose start costs more than some of
them.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterable

import pytest

ARCHITECTURE, JOURNEYS = "tests/architecture", "tests/journeys"
FIRST = (JOURNEYS, "tests/faults/test_worker.py")
"""They wait for other processes: what is left over of the cores goes to all the rest."""


def scope_of(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return next((one for one in (JOURNEYS, ARCHITECTURE) if path.startswith(f"{one}/")), path)


def units(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """In the order in which they begin: those that wait, then those of many tests."""
    scopes: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        scopes[scope_of(item.nodeid)].append(item)
    first = [scopes.pop(scope) for scope in FIRST if scope in scopes]
    return first + sorted(scopes.values(), key=len, reverse=True)


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Importing and collecting makes a million objects that stay: the collector need not walk them
    again and again."""
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
