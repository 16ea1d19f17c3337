"""The figures of a run are written by the command, and a run that goes on adds to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.recording import Figures, next_seed, pairs_line, record

COUNTS = {"ended: canary succeeded": 3, "stale read": 5, "pair: node_dies + stale read": 20}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return with_section(tmp_path / "page.md")


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    return with_section(tmp_path / "summary.md")


def with_section(path: Path) -> Path:
    path.write_text("<!-- figures of simulate -->\n<!-- end of simulate -->\n", encoding="utf-8")
    return path


def figures(first: int, last: int, store: str = "scripts") -> Figures:
    return Figures(store, first, last, 10, 0, 7, COUNTS)


def test_a_run_that_goes_on_from_the_last_seed_adds_its_figures(page: Path, summary: Path) -> None:
    assert next_seed("scripts", page) == 1
    record(figures(1, 5), page, summary)
    record(figures(next_seed("scripts", page), 9), page, summary)
    record(figures(1, 4, "memory"), page, summary)
    text = page.read_text(encoding="utf-8")
    assert "| seeds | 1 to 9 | 1 to 4 |" in text
    assert "| ended: canary | 6 | 3 |" in text and "| stale read | 10 | 5 |" in text
    told = summary.read_text(encoding="utf-8")
    assert "20 releases over the Redis scripts (seeds 1 to 9, 0 failed)" in told


def test_a_run_from_another_seed_replaces_the_figures(page: Path, summary: Path) -> None:
    record(figures(1, 5), page, summary)
    record(figures(1, 2), page, summary)
    assert next_seed("scripts", page) == 3


def test_pairs_are_counted_of_the_faults_that_occurred() -> None:
    assert pairs_line(COUNTS) == "1 of 1 met by one release, 1 of them 20 times"
