"""`make simulate-mutants`: each defect of engine, store and delivery alone in a copy of the tree;
the table says which seed showed it. Exit status 1 where none did."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.__main__ import Unsuitable, copy_tree, seeded
from tests.mutants.defects import Defect
from tests.simulation.defects import concerned

MOST_SEEDS = 2_000
LONGEST_A_SEED_S = 5
FAILED = re.compile(r"^seed (\d+): \d+: (.*)$", re.MULTILINE)
NOT_FOUND = "NOT FOUND"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make simulate-mutants", description="Seed defects; worlds by seeds must show each."
    )
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help="so many for each defect")
    parser.add_argument("--only", default="", help="defects whose name holds this")
    options = parser.parse_args(argv)
    chosen = [one for one in concerned() if options.only in one.name]
    table = Table("defect", "seeds", "what the judge said", "s", title="Seeded defects, by seed")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="pilothouse-mutants-") as folder:
        copy = Path(folder)
        copy_tree(copy)
        for defect in chosen:
            began = time.monotonic()
            try:
                number, said = found_by(copy, defect, options.seeds)
            except Unsuitable as why:
                print(why, file=sys.stderr)
                return 2
            missed += number == NOT_FOUND
            print(f"{defect.name}: {number}: {said[:100]}", flush=True)
            table.add_row(defect.name, number, said[:80], f"{time.monotonic() - began:.0f}")
    Console(width=170, highlight=False).print(table)
    print(f"{len(chosen) - missed} of {len(chosen)} found within {options.seeds} seeds each")
    return 1 if missed else 0


def found_by(copy: Path, defect: Defect, seeds: int) -> tuple[str, str]:
    """How many seeds it took, and what the judge said. Raises Unsuitable."""
    # no byte code: two defects of one file and size within a second would be taken for each other
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    words = [sys.executable, "-m", "tests.simulation", "--until-failure", "--seeds", str(seeds)]
    with seeded(copy, defect):
        try:
            ran = subprocess.run(
                words,
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60 + LONGEST_A_SEED_S * seeds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return NOT_FOUND, "the worlds did not end"
    found = FAILED.search(ran.stdout)
    if found is not None:
        return found[1], found[2]
    if ran.returncode and "Traceback" in ran.stderr:
        raise Unsuitable(f"{defect.name}: no world runs:\n{ran.stderr[-2000:]}")
    return NOT_FOUND, ""


if __name__ == "__main__":
    sys.exit(main())
