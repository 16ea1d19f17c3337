"""Which tests of `make test` run in one test process: those that share something costly.

A file's fixtures start their servers, and the architecture tests read their syntax trees, once. The
journeys share one sandbox: one in each test process, with its bot, its worker and their children,
cost more than all that the journeys do.
"""

from __future__ import annotations

import gc

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SHARED_BY_FOLDER = ("tests/architecture", "tests/journeys")
FIRST = ("tests/journeys", "tests/faults/test_worker.py")
"""They wait for other processes: what is left over of the cores goes to all the rest."""


def scope_of(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return next((folder for folder in SHARED_BY_FOLDER if path.startswith(f"{folder}/")), path)


class ByWhatTheyShare(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: object) -> None:
        for scope in reversed(FIRST):
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


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
