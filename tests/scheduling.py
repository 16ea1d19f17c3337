"""Which tests of `make test` run in one test process: those that share something costly.

A file's fixtures start their servers, and the architecture tests read their syntax trees, once. The
journeys share a sandbox: a bot, a worker and their children. They mostly wait for these, so they
run in a few lanes beside each other, each with a sandbox of its own.
"""

from __future__ import annotations

import gc
import zlib

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ARCHITECTURE, JOURNEYS = "tests/architecture", "tests/journeys"
LANES = tuple(f"{JOURNEYS}, lane {number}" for number in (1, 2, 3))
FIRST = (*LANES, "tests/faults/test_worker.py")
"""They wait for other processes: what is left over of the cores goes to all the rest."""


def scope_of(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    if path.startswith(f"{JOURNEYS}/"):
        return LANES[zlib.crc32(nodeid.encode()) % len(LANES)]
    return ARCHITECTURE if path.startswith(f"{ARCHITECTURE}/") else path


class ByWhatTheyShare(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: object) -> None:
        for scope in reversed(FIRST):
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByWhatTheyShare | None:
    """With `--dist loadscope`; any other way stays xdist's own."""
    return ByWhatTheyShare(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Importing and collecting makes a million objects that stay: the collector need not walk them
    again and again."""
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
