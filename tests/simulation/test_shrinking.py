"""A failing seed becomes a short story, and what was found once is not found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.shrinking import REGRESSIONS, Regression, Shrinking, kind_of, read, story
from tests.simulation.test_worlds import locks_for_everyone
from tests.simulation.world import Mode, World

BESIDE = "runs beside"


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.json")), ids=lambda path: path.stem)
def test_what_a_seed_found_once_stays_mended(path: Path) -> None:
    known = read(path)
    outcome = known.world().run()
    told = (*story(outcome), *outcome.violations, f"mended by: {known.mended}")
    assert not outcome.violations, "\n".join(told)


def test_a_regression_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = Regression("7", Mode.SAFETY, ("command 1", "store lost 3"), "hello was lost")
    found.write(tmp_path / "one.json")
    assert read(tmp_path / "one.json") == found


def test_one_kind_of_violation_has_one_name() -> None:
    assert kind_of("17: shop-1-3 was lost") == kind_of("99: shop-2-4 was lost")
    assert kind_of("17: shop-1-3 was lost") != kind_of("17: shop-1-3 has no card")


def test_without_any_disturbance_nothing_happens() -> None:
    outcome = World("8", only=frozenset(), keeps_lines=False).run()
    assert outcome.happened == () and outcome.releases == 0 and not outcome.violations


@pytest.mark.slow
def test_a_failing_seed_is_reduced_to_what_it_takes() -> None:
    """Two releases that run at once take two commands, and little else."""
    for seed in range(1, 30):
        options = {"spoil": locks_for_everyone, "rate": 0.003}
        whole = World(str(seed), mode=Mode.LIVENESS, **options).run()  # type: ignore[arg-type]
        if any(BESIDE in one for one in whole.violations[:1]):
            break
    shrunk, outcome = Shrinking(str(seed), Mode.LIVENESS, options).shrink()
    assert BESIDE in shrunk.found
    assert len(shrunk.only) < len(whole.happened) / 3
    assert sum(one.startswith("command") for one in shrunk.only) >= 2
    told = story(outcome)
    assert any(" types " in line for line in told) and "VIOLATION" in told[-1]
