"""A freeze that holds what runs: where a release stands still, what goes on meanwhile, and how it
continues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.releases.engine.gates import expires_at, hold_ends_at, open_gate
from bot.releases.engine.respond import respond
from bot.releases.engine.standstill import ASKS_AFTER_MS, is_held
from bot.releases.facts.changes import Undo
from bot.releases.facts.freezes import FreezeInForce
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Approve, Pause, Promote, Reject, Resume
from bot.releases.planning.coming_freeze import caught_note
from tests.builders import DEVELOPER, MANAGER, MINUTE, REPOSITORY, SECOND
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.test_canary_walks import a_hello, a_walk, shifting

WORDS = "all is frozen by oncall: incident"
HOUR = 60 * MINUTE
BLUE_GREEN = ("plain", "kept")


def freeze(walk: Walk) -> Walk:
    walk.release = replace(walk.release, freeze=FreezeInForce(WORDS, walk.now))
    return walk


def thaw(walk: Walk) -> Walk:
    walk.release = replace(walk.release, freeze=None)
    return walk


def ticks(walk: Walk, count: int) -> Walk:
    for _ in range(count):
        walk.tick()
    return walk


def later(walk: Walk, milliseconds: int) -> Walk:
    walk.now += milliseconds
    walk.tick()
    return walk


def frozen_canary() -> Walk:
    walk = a_walk(a_hello(replicas=4), steps=(20, 50), canary={"hold_ms": 10 * MINUTE})
    walk.approves = False
    walk.to_step("share-20", gate="hold")
    return ticks(freeze(walk), 2)


def test_a_canary_stands_still_at_its_share_however_long_its_hold_was() -> None:
    walk = frozen_canary()
    written = len(walk.written)
    for _ in range(70):
        later(walk, HOUR)
    assert (walk.release.phase, walk.step) == (Phase.HOLDING, "share-20")
    assert len(walk.written) == written
    assert walk.release.standstill is not None
    assert sum("held before" in line for line in walk.told) == 1


def test_a_step_that_has_begun_is_finished_under_a_freeze() -> None:
    walk = a_walk(a_hello(replicas=4), steps=(20, 50))
    walk.until(lambda one: one.step == "share-20" and one.release.progress.gate is None)
    ticks(freeze(walk), 30)
    assert walk.release.card_snapshot.share == 20
    assert (walk.step, walk.gate) == ("share-20", "hold")
    assert walk.release.standstill is not None


def test_a_roll_that_has_begun_and_its_end_are_finished() -> None:
    walk = a_walk(a_hello(replicas=4), steps=(20,)).to_step("promote")
    freeze(walk).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("name", BLUE_GREEN)
def test_a_switch_that_has_begun_and_its_settling_are_finished(name: str) -> None:
    walk = getattr(scenes, name)().to_step("switch")
    freeze(walk).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("name", BLUE_GREEN)
def test_no_traffic_is_switched_under_a_freeze(name: str) -> None:
    walk = getattr(scenes, name)()
    walk.until(lambda one: one.step not in ("", "switch") and one.release.progress.at_step >= 0)
    ticks(freeze(walk), 60)
    assert walk.switches() == []
    assert walk.release.standstill is not None, (walk.step, walk.release.phase)
    assert sum("held before: switch" in line for line in walk.told) == 1
    assert sum(line.startswith("done in") for line in walk.told) <= 1
    thaw(walk).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED


def test_a_short_freeze_is_followed_by_a_whole_new_hold() -> None:
    walk = frozen_canary()
    later(walk, 9 * MINUTE)
    ticks(thaw(walk), 1)
    assert walk.release.phase is Phase.HOLDING and walk.release.standstill is None
    gate = open_gate(walk.release)
    assert isinstance(gate, HoldGate)
    ends = hold_ends_at(walk.release, gate)
    assert ends is not None and ends - walk.now >= 10 * MINUTE - 61 * SECOND
    walk.approves = True
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED


def test_after_more_than_an_hour_a_person_is_asked_first() -> None:
    walk = frozen_canary()
    later(walk, ASKS_AFTER_MS + MINUTE)
    ticks(thaw(walk), 3)
    assert walk.release.phase is Phase.PAUSED and walk.step == "share-20"
    assert "Resume to continue, or abort to roll back" in walk.told[-1]
    walk.now += 5 * HOUR
    walk.ask(Resume(DEVELOPER))
    gate = open_gate(walk.release)
    assert isinstance(gate, HoldGate)
    assert hold_ends_at(walk.release, gate) == walk.now + 10 * MINUTE
    walk.approves = True
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED


def test_a_hold_that_shows_no_end_shows_none_while_it_stands_still() -> None:
    walk = frozen_canary()
    gate = open_gate(walk.release)
    assert isinstance(gate, HoldGate) and hold_ends_at(walk.release, gate) is None


def at_promotion() -> Walk:
    rules = {"hold_ms": 10 * SECOND}
    walk = a_walk(a_hello(replicas=4), steps=(20,), canary=rules)
    walk.approves = False
    walk.until(lambda one: one.release.phase is Phase.AWAITING_PROMOTION)
    return walk


def test_neither_an_approval_nor_its_deadline_counts_while_it_stands_still() -> None:
    walk = at_promotion()
    gate, plan = open_gate(walk.release), walk.release.plan
    assert isinstance(gate, ApprovalGate) and plan is not None
    ticks(freeze(walk), 1)
    later(walk, 90 * 24 * HOUR)
    assert walk.release.phase is Phase.AWAITING_PROMOTION
    assert not any("still waiting" in line for line in walk.told)
    assert expires_at(walk.release, gate) is None
    for request in (Approve(MANAGER, gate.name, plan.hash), Promote(MANAGER)):
        answer = respond(walk.release, request, walk.now)
        assert WORDS in answer.refusal and answer.release == walk.release


def test_an_approval_given_a_moment_before_passes_only_after_the_freeze() -> None:
    walk = at_promotion()
    gate, plan = open_gate(walk.release), walk.release.plan
    assert isinstance(gate, ApprovalGate) and plan is not None
    walk.ask(Approve(MANAGER, gate.name, plan.hash))
    ticks(freeze(walk), 3)
    assert walk.release.phase is Phase.AWAITING_PROMOTION
    later(thaw(walk), SECOND)
    assert walk.step == "promote"


def test_an_approval_has_its_whole_time_again_after_a_freeze() -> None:
    walk = at_promotion()
    gate = open_gate(walk.release)
    assert isinstance(gate, ApprovalGate)
    later(freeze(walk), 30 * MINUTE)
    now = walk.now
    walk.release = replace(walk.release, freeze=None)
    walk.tick()
    assert expires_at(walk.release, gate) == now + gate.expires_ms


@pytest.mark.parametrize("asks", [Abort(DEVELOPER), None])
def test_a_way_back_is_never_stopped(asks: Abort | None) -> None:
    walk = frozen_canary()
    if asks is not None:
        walk.ask(asks)
    else:
        gate, plan = open_gate(at_promotion().release), walk.release.plan
        assert gate is not None and plan is not None
        walk = ticks(freeze(at_promotion()), 2)
        plan = walk.release.plan
        assert plan is not None
        walk.ask(Reject(MANAGER, gate.name, plan.hash))
    walk.to_the_end()
    assert walk.release.phase in (Phase.ABORTED, Phase.REJECTED)
    assert "hello-canary" not in walk.cluster.deployments


def test_an_undo_is_not_held() -> None:
    walk = frozen_canary()
    assert is_held(walk.release)
    assert not is_held(replace(walk.release, change=Undo()))


def test_pods_that_fail_are_rolled_back_during_a_freeze() -> None:
    walk = frozen_canary()
    walk.cluster.crashes = True
    walk.cluster.broken_images = {f"{REPOSITORY}:2.0.0"}
    for pod in walk.cluster.deployments["hello-canary"].pods():
        pod.ready = False
    for _ in range(200):
        if walk.release.phase.is_final:
            break
        walk.tick()
    assert walk.release.phase is Phase.ROLLED_BACK


def test_a_pause_and_a_resume_under_a_freeze_pass_nothing() -> None:
    walk = frozen_canary()
    walk.ask(Pause(DEVELOPER))
    later(walk, 20 * MINUTE)
    walk.ask(Resume(DEVELOPER))
    later(walk, 20 * MINUTE)
    assert (walk.release.phase, walk.step) == (Phase.HOLDING, "share-20")


def test_a_freeze_that_ends_during_a_pause_leaves_the_pause_and_a_whole_hold() -> None:
    walk = frozen_canary()
    later(walk, 9 * MINUTE)
    walk.ask(Pause(DEVELOPER))
    later(walk, 2 * HOUR)
    later(thaw(walk), HOUR)
    assert walk.release.phase is Phase.PAUSED and walk.release.standstill is None
    walk.ask(Resume(DEVELOPER))
    gate = open_gate(walk.release)
    assert isinstance(gate, HoldGate)
    assert hold_ends_at(walk.release, gate) == walk.now + 10 * MINUTE


SCENES: dict[str, Callable[[], Walk]] = {
    "canary": lambda: a_walk(a_hello(replicas=4), steps=(20, 50)),
    "shift": shifting,
    "bluegreen": scenes.plain,
}


@pytest.mark.parametrize("name", SCENES)
def test_a_freeze_at_any_moment_and_a_crash_in_it_change_nothing_of_the_end(name: str) -> None:
    for walk in SCENES[name]().moments():
        moment = (walk.step, walk.gate)
        freeze(walk)
        walk.tick(crash_after=0)
        ticks(walk, 3)
        thaw(walk).to_the_end()
        assert walk.release.phase is Phase.SUCCEEDED, (moment, walk.told[-3:])


def test_the_plan_names_the_step_that_a_coming_freeze_would_hold_up() -> None:
    walk = a_walk(a_hello(replicas=4), steps=(20, 50), canary={"hold_ms": 10 * MINUTE})
    plan = walk.to_step("share-20").release.plan
    assert plan is not None

    def said(after: int) -> str:
        coming = FreezeInForce("all (weekend)", walk.now + after)
        return caught_note(plan, coming, usual_ms=MINUTE, now=walk.now)

    assert f"before the step `{plan.steps[1].title}`" in said(5 * MINUTE)
    assert f"before the step `{plan.steps[2].title}`" in said(15 * MINUTE)
    assert said(2 * HOUR) == ""
    assert caught_note(plan, None, usual_ms=MINUTE, now=walk.now) == ""
