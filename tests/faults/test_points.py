"""A job's process dies at each named point of each of its ticks; the next tick continues as if
nothing had happened."""

from __future__ import annotations

import itertools
from typing import cast

import pytest

from tests.faults.invariants import judge
from tests.faults.people import People, wait_until
from tests.faults.points import ALWAYS, DIED, POINTS
from tests.faults.stage import open_stage

STORIES = ("2.0.0 rolling", "2.0.0 canary", "2.0.0 bluegreen", "2.0.0-missing canary")
ENDS_WITHIN_S = (
    300  # each of the 32 releases dies again and again; loose, since the machine may be busy
)


@pytest.mark.slow
def test_the_next_tick_repairs_one_killed_at_any_point() -> None:
    lines = list(itertools.product(STORIES, POINTS))
    with open_stage(len(lines)) as stage:
        people = People(stage, seed=3)
        for app, (story, point) in zip(stage.apps, lines, strict=True):
            stage.redis.hset(ALWAYS, app, point)
            people.say(f"/deploy {app} {story}")
        assert len(people.accepted) == len(lines), people.refused
        with people.at_work():
            is_quiet = wait_until(stage.is_quiet, ENDS_WITHIN_S)
        verdict = judge(stage, people.accepted)
        died = {
            tuple(row.split("|")[:2])
            for row in map(bytes.decode, cast(set[bytes], stage.redis.smembers(DIED)))
        }
    assert is_quiet, verdict.stuck
    assert verdict.is_clean, verdict
    missing = {
        (point, f"{app}-1") for app, (_, point) in zip(stage.apps, lines, strict=True)
    } - died
    assert not missing, f"nobody died there: {missing}"
