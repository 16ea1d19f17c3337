"""The defects that seeds must show fit the code, and one of them is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import copy_tree
from tests.mutants.defects import DEFECTS, Defect
from tests.simulation.defects import NOT_SIMULATED, WRITTEN, concerned
from tests.simulation.mutants import NOT_FOUND, found_by

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("defect", WRITTEN, ids=lambda one: one.name)
def test_every_defect_for_the_seeds_fits_the_code(defect: Defect) -> None:
    text = (TOP / defect.file).read_text(encoding="utf-8")
    assert text.count(defect.there) == 1


def test_each_is_tried_once_and_what_is_left_out_exists() -> None:
    names = [one.name for one in concerned()]
    assert len(names) == len(set(names))
    assert {one.name for one in DEFECTS} >= NOT_SIMULATED


@pytest.mark.slow
def test_a_seed_shows_a_seeded_defect(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    defect = next(one for one in WRITTEN if one.name.startswith("a canary that ends"))
    number, said = found_by(tmp_path, defect, 40)
    assert number != NOT_FOUND and "claim" in said
