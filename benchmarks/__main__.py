"""Runs the benchmarks and prints a table for each; exits 1 when a goal is missed. With --record the
page of figures gets them too."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from importlib.metadata import version

from benchmarks.rows import COLUMNS, Row, table
from tests.verification import record

BENCHMARKS = (
    "acknowledgement",
    "queries",
    "rolling",
    "canary",
    "bluegreen",
    "costs",
    "large",
    "engine",
    "cards",
    "footprint",
    "clusters",
    "lost_requests",
    "audit",
    "judging",
)


def main(words: list[str]) -> int:
    names = [word for word in words if word != "--record"]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark `{unknown[0]}`; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    versions = ", ".join(f"{name} {version(name)}" for name in ("kubernetes", "slack-bolt", "rq"))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {versions}", flush=True)
    met = True
    for name in names or BENCHMARKS:
        rows: list[Row] = importlib.import_module(f"benchmarks.{name}").run()
        print(f"\n{table(rows)}", flush=True)
        met = met and all(row.met for row in rows)
        if "--record" in words:
            record(f"bench {name}", COLUMNS, [row.cells() for row in rows])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
