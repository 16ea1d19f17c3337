"""`pytest --record "make test"`: the outcome of this run becomes that suite's row of
docs/reference/verification.md."""

from __future__ import annotations

import platform
import resource
import time

import pytest

from tests.verification import record_row, today

COLUMNS = ("suite", "passed", "failed", "skipped", "took", "largest process", "on")
_began = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record",
        metavar="SUITE",
        help="write the outcome to docs/reference/verification.md under this name",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_began] = time.monotonic()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    suite = config.getoption("--record")
    if suite:
        counts = [
            str(len(terminalreporter.stats.get(outcome, ())))
            for outcome in ("passed", "failed", "skipped")
        ]
        took = time.monotonic() - config.stash[_began]
        largest_kb = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        record_row(
            "suites",
            COLUMNS,
            [
                suite,
                *counts,
                f"{took:.0f} s",
                f"{largest_kb / 1024:.0f} MB",
                f"{today()}, Python {platform.python_version()}",
            ],
        )
