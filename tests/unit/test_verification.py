"""The page of figures is written by the commands, and its words by people: neither loses what the
other wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from tests.faults.__main__ import retelling
from tests.faults.injections import INJECTIONS
from tests.mutants.defects import DEFECTS
from tests.verification import PAGE, README, NoSuchSection, record, record_row, recorded, retold

SECTIONS = (
    "suites",
    *(f"bench {name}" for name in BENCHMARKS),
    "faults",
    "soak",
    "soak on real-node",
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(
        "Before.\n<!-- figures of soak -->\nold\n<!-- end of soak -->\nAfter.\n", encoding="utf-8"
    )
    return path


def test_a_run_replaces_the_figures_of_the_one_before_and_no_word_around_them(page: Path) -> None:
    record("soak", ["releases", "memory"], [["12", "80 MB"]], "Seed 3.", page=page)
    record("soak", ["releases", "memory"], [["13", "81 MB"]], "Seed 4.", page=page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(
        "Before.\n<!-- figures of soak -->\n| releases | memory |\n| --- | --- |\n| 13 | 81 MB"
        " |\n\n"
    )
    assert text.endswith("\n\nSeed 4.\n<!-- end of soak -->\nAfter.\n")
    assert "12" not in text.partition("13")[0]
    assert "Python" in text


def test_a_row_takes_the_place_of_the_one_of_the_same_name_and_leaves_the_others(
    page: Path,
) -> None:
    for row in (["make test", "1"], ["make slow", "2"], ["make test", "3"]):
        record_row("soak", ["suite", "passed"], row, page=page)
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert rows == ["| suite | passed |", "| --- | --- |", "| make test | 3 |", "| make slow | 2 |"]


def test_figures_without_a_place_are_an_error_with_the_line_to_add(page: Path) -> None:
    with pytest.raises(NoSuchSection, match="<!-- figures of mutants -->"):
        record("mutants", ["a"], [["b"]], page=page)


def test_a_bar_in_a_cell_does_not_break_the_table(page: Path) -> None:
    record("soak", ["what"], [["a|b"]], page=page)
    assert "| a/b |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_has_a_place_for_every_command_that_measures(section: str, tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    record_row(section, ["what"], ["measured"], page=copy)
    assert "| measured |" in copy.read_text(encoding="utf-8")


def test_the_readme_repeats_the_fault_run_of_the_page() -> None:
    assert retold("faults") == "".join(retelling(row) for row in recorded("faults"))


def test_a_recorded_table_is_read_as_it_was_written(page: Path) -> None:
    assert recorded("soak", page=page) == []
    record("soak", ["releases", "memory"], [["12", "80 MB"]], "Seed 3.", page=page)
    assert recorded("soak", page=page) == [{"releases": "12", "memory": "80 MB"}]


def test_as_many_kinds_of_harm_are_promised_as_are_caused() -> None:
    text = f"{len(INJECTIONS)} kinds of harm"
    assert text in README.read_text(encoding="utf-8") and text in PAGE.read_text(encoding="utf-8")


def test_as_many_defects_are_promised_as_are_seeded() -> None:
    assert f"{len(DEFECTS)} seeded defects" in PAGE.read_text(encoding="utf-8")
