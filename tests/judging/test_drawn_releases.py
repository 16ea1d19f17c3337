"""Releases drawn by seed: how often the judge errs, and how soon it sees."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from bot.releases.facts.causes import Verdict
from bot.releases.judge.budget import divide
from bot.releases.judge.power import Needed
from tests.judging import drawn_releases
from tests.judging.drawn_releases import WORLDS, World, ever, upper_bound
from tests.judging.power_draws import excluded, noticed

FALSE_ALARMS = 0.01
RELEASES = 40


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_cut_of_releases_that_are_no_worse_has_no_false_alarm(world: World) -> None:
    assert ever(Verdict.BAD, world, 3, FALSE_ALARMS) == 0


@pytest.mark.slow
def test_releases_that_are_no_worse_are_seldom_called_bad() -> None:
    """More of each world: `python -m tests.judging --releases N`."""
    alarms = sum(ever(Verdict.BAD, world, RELEASES, FALSE_ALARMS) for world in WORLDS)
    assert upper_bound(alarms, RELEASES * len(WORLDS)) <= FALSE_ALARMS


@pytest.mark.slow
@pytest.mark.parametrize("points", [1, 2, 5])
def test_releases_that_are_worse_are_seldom_called_good(points: int) -> None:
    worse = [replace(world, worse=points / 100, sources=1) for world in WORLDS]
    passed = sum(ever(Verdict.GOOD, world, RELEASES // 10, FALSE_ALARMS) for world in worse)
    assert passed == 0


@pytest.mark.parametrize("ratio", [1, 9])
@pytest.mark.parametrize("points", [2, 5, 20])
def test_the_table_keeps_its_word(points: int, ratio: int) -> None:
    shares = divide(FALSE_ALARMS, holds=3, sources=2, watches=True)
    needed = Needed(shares.alarm, shares.miss, 0.001, ratio)
    assert noticed(needed, points / 100, 200) >= 0.7
    assert excluded(needed, points / 100, 200) >= 0.7


def test_the_draws_are_what_they_say() -> None:
    assert doctest.testmod(drawn_releases).failed == 0
