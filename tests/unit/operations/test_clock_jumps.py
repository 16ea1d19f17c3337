"""Redis' clock is set minutes ahead or back in the middle of a release: no deadline, hold or
verdict comes sooner or later for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.releases.engine.clock import follow_clock
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Pause, Resume
from tests.builders import DEVELOPER, MINUTE, SECOND, T0, a_canary, a_release, rules_with
from tests.unit.operations.test_advance_release import Scene, a_scene

JUMPS = pytest.mark.parametrize("jump", [7 * MINUTE, -7 * MINUTE])


class TwoClocks:
    """Redis' clock, which is set once, beside the API server's."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.cluster_now = scene, T0
        scene.port.clock = lambda: self.cluster_now

    def pass_time(self, milliseconds: int) -> None:
        self.scene.clock.now += milliseconds
        self.cluster_now += milliseconds

    def tick(self, times: int = 1, *, beat: bool = True) -> None:
        for _ in range(times):
            if not self.scene.store.load(self.scene.id).phase.is_final:
                advance_release(self.scene.context, self.scene.id)
            if beat:
                self.scene.port.model.beat()
            self.pass_time(2 * SECOND)

    def jump(self, by: int) -> None:
        self.scene.clock.now += by

    def is_in(self, phase: Phase) -> bool:
        return self.scene.store.load(self.scene.id).phase is phase


@JUMPS
def test_a_deadline_counts_on_over_a_jump(jump: int) -> None:
    clocks = TwoClocks(a_scene(a_release()))
    clocks.tick(2, beat=False)
    clocks.jump(jump)
    clocks.tick(2, beat=False)
    assert clocks.is_in(Phase.PROGRESSING)
    clocks.pass_time(5 * MINUTE)
    clocks.tick(beat=False)
    assert clocks.is_in(Phase.PROGRESSING)
    clocks.pass_time(2 * MINUTE)
    clocks.tick(beat=False)
    assert "not complete after 6 min" in clocks.scene.said()


@JUMPS
def test_a_hold_lasts_as_long_over_a_jump(jump: int) -> None:
    rules = rules_with(canary={"hold_ms": 10 * MINUTE, "promote": "automatic", "steps": (50,)})
    clocks = TwoClocks(a_scene(a_canary(rules=rules)))
    clocks.tick(8)
    assert clocks.is_in(Phase.HOLDING)
    clocks.pass_time(8 * MINUTE)
    clocks.jump(jump)
    clocks.tick()
    assert clocks.is_in(Phase.HOLDING)
    clocks.pass_time(2 * MINUTE)
    clocks.tick()
    assert clocks.is_in(Phase.PROGRESSING)


@JUMPS
def test_a_pause_counts_right_where_the_clock_jumps_in_it(jump: int) -> None:
    clocks = TwoClocks(a_scene(a_release()))
    clocks.tick(2, beat=False)
    control_release(clocks.scene.context, clocks.scene.id, Pause(DEVELOPER), "paused")
    clocks.tick(2, beat=False)
    assert clocks.is_in(Phase.PAUSED)
    clocks.pass_time(20 * MINUTE)
    clocks.jump(jump)
    control_release(clocks.scene.context, clocks.scene.id, Resume(DEVELOPER), "resumed")
    clocks.tick(2, beat=False)
    clocks.pass_time(5 * MINUTE)
    clocks.tick(beat=False)
    assert clocks.is_in(Phase.PROGRESSING)
    clocks.pass_time(2 * MINUTE)
    clocks.tick(beat=False)
    assert "not complete after 6 min" in clocks.scene.said()


def test_a_small_difference_is_no_jump() -> None:
    release = follow_clock(a_release(), T0, T0 + SECOND)
    assert release.clocks_apart_ms == 0
    assert follow_clock(release, T0 + MINUTE, T0 + MINUTE - 10 * SECOND) is release


def test_pods_are_judged_by_the_clock_that_stamped_them() -> None:
    release = follow_clock(replace(a_release(), clocks_apart_ms=0), T0 + 7 * MINUTE, T0)
    assert release.in_cluster_time(T0 + 7 * MINUTE) == T0


def test_without_the_api_servers_clock_nothing_moves() -> None:
    release = a_release()
    assert follow_clock(release, T0 + 7 * MINUTE, None) is release
