"""Nothing polls: a release that waits is looked at when something was planned for then, or when the
resync comes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.decision import RESYNC_MS, WAITING_RESYNC_MS
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release
from tests.builders import MINUTE, T0
from tests.transitions.test_canary_walks import a_walk
from tests.transitions.ticks import half_rolled, rolling

Scene = tuple[Release, Observation]


def pods_that_do_not_get_ready() -> Scene:
    return rolling(), half_rolled()


def a_long_hold() -> Scene:
    walk = a_walk(canary={"hold_ms": 60 * MINUTE}).until(
        lambda walk: walk.release.phase is Phase.HOLDING
    )
    return walk.release, walk.look()


def a_wait_for_people() -> Scene:
    walk = a_walk(canary={"hold_ms": 0, "steps": (50,)})
    walk.approves = False
    walk.until(lambda walk: walk.release.phase is Phase.AWAITING_PROMOTION)
    return walk.release, walk.look()


@pytest.mark.parametrize(
    ("scene", "resync_ms"),
    [
        (pods_that_do_not_get_ready, RESYNC_MS),
        (a_long_hold, WAITING_RESYNC_MS),
        (a_wait_for_people, WAITING_RESYNC_MS),
    ],
)
def test_a_quiet_release_is_observed_no_more_often_than_the_resync(
    scene: Callable[[], Scene], resync_ms: int
) -> None:
    release, seen = scene()
    first = decide(release, seen, T0 + MINUTE)
    release, now, looks, ends = first.release, T0 + MINUTE, 0, T0 + 4 * MINUTE
    while now < ends:
        decision = decide(release, seen, now)
        assert not decision.release.phase.is_final
        assert decision.wake_at is not None and decision.wake_at > now
        release, now, looks = decision.release, decision.wake_at, looks + 1
    planned_moments = 3  # a reminder, the usual time, the end of a first wait
    assert looks <= 3 * MINUTE / min(resync_ms, 3 * MINUTE) + planned_moments
