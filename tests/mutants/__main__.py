"""`make mutants`: each defect alone in a copy of the tree; the table says which test noticed. Exit
status 1 when one was not noticed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.defects import DEFECTS, Defect

TOP = Path(__file__).parents[2]
COPIED = (
    "pilothouse",
    "bot",
    "jobs",
    "config",
    "sandbox",
    "tests",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
LONGEST_S, LONGEST_EACH_S = 120, 20
"""Of a run, and more for each of its tests."""
PASSED, FAILED = 0, 1  # pytest's exit status


class Unsuitable(Exception):
    """A defect cannot be seeded, or its test fails without it: fix the list. One line."""


class TookTooLong(Unsuitable):
    """The tests did not end: because of the defect, or because the machine is busy."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make mutants",
        description="Seed defects one at a time; each must make a named test fail.",
    )
    parser.add_argument("--most", type=int, default=len(DEFECTS), help="only the first N")
    parser.add_argument("--only", default="", help="defects whose name holds this")
    options = parser.parse_args(argv)
    chosen = [defect for defect in DEFECTS if options.only in defect.name][: options.most]
    table = Table("defect", "test that must fail", "", "s", title="Seeded defects")
    survived = 0
    with tempfile.TemporaryDirectory(prefix="pilothouse-mutants-") as folder:
        copy = Path(folder)
        copy_tree(copy)
        try:
            _check_without_defects(copy, chosen)
            for defect in chosen:
                began = time.monotonic()
                try:
                    found = "noticed" if _is_noticed(copy, defect) else "NOT NOTICED"
                except TookTooLong as late:
                    found = f"NOT NOTICED: {late}"
                survived += found != "noticed"
                print(f"{defect.name}: {found}", flush=True)
                test = defect.test.rpartition("::")[2]
                table.add_row(
                    defect.name,
                    test,
                    found,
                    f"{time.monotonic() - began:.1f}",
                )
        except Unsuitable as why:
            print(why, file=sys.stderr)
            return 2
    Console(width=150, highlight=False).print(table)
    print(f"{len(chosen) - survived} of {len(chosen)} noticed")
    return 1 if survived else 0


def copy_tree(copy: Path) -> None:
    for name in COPIED:
        source = TOP / name
        if source.is_dir():
            shutil.copytree(
                source,
                copy / name,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis"),
            )
        else:
            shutil.copy(source, copy / name)


def _check_without_defects(copy: Path, chosen: Sequence[Defect]) -> None:
    """A test that fails anyway proves nothing."""
    status, told = _run(copy, sorted({defect.test for defect in chosen}))
    if status != PASSED:
        raise Unsuitable(f"without any defect the named tests do not pass:\n{told[-2000:]}")


def _is_noticed(copy: Path, defect: Defect) -> bool:
    with seeded(copy, defect):
        status, told = _run(copy, [defect.test])
    if status not in (PASSED, FAILED):
        raise Unsuitable(
            f"{defect.name}: the test could not be run (pytest's exit status"
            f" {status}):\n{told[-2000:]}"
        )
    return status == FAILED


@contextmanager
def seeded(copy: Path, defect: Defect) -> Iterator[None]:
    """The tree at ``copy`` has the defect. Raises Unsuitable."""
    path = copy / defect.file
    text = path.read_text(encoding="utf-8")
    if text.count(defect.there) != 1:
        raise Unsuitable(
            f"{defect.name}: its text stands {text.count(defect.there)} times in {defect.file},"
            " once is needed"
        )
    path.write_text(text.replace(defect.there, defect.instead), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def _run(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    # No byte code: a file changed twice within one second and of equal size would be taken for the
    # old one.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-m",
        "not control_plane and not real_node",
        *tests,
    ]
    longest_s = LONGEST_S + LONGEST_EACH_S * len(tests)
    try:
        done = subprocess.run(
            words,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=longest_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise TookTooLong(f"not over within {longest_s} s") from late
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
