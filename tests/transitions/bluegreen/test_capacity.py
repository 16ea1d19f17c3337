"""Before a Service changes hands, what takes over has as many ready pods as serve now. Only the way
back from a version that fails does not wait."""

from __future__ import annotations

import pytest

from bot.releases.engine.respond import capacity_name, respond
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Adopt, Promote
from tests.builders import DEVELOPER, MANAGER, MINUTE
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.autoscaled import ON_BLUE, Autoscaled, raises

ON_GREEN = {"app": "hello-green"}

# --- forward --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_version", [False, True])
def test_hand_back_raises_a_shrunk_blue_first(by_version: bool) -> None:
    scaled = Autoscaled(by_version=by_version)
    scaled.to_the_window()
    walk = scaled.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert raises(walk) == [20]
    assert len(walk.cluster.selected("hello")) == 20


def test_an_autoscaler_that_takes_the_raise_back_is_named_and_not_fought() -> None:
    scaled = Autoscaled(fights=True)
    walk = scaled.to_the_window().to_step("hand back")
    scaled.ticks(12)
    assert not scaled.is_blue()
    assert len(raises(walk)) <= 3
    told = [text for text in walk.told if "took hello back to 2 pods" in text]
    assert len(told) == 1 and told[0].startswith("HorizontalPodAutoscaler hello-hpa ")
    assert "Raise its minimum to 20, and its maximum where that is lower, or " in told[0]
    assert walk.release.progress.waits_for == "hello has 2 of 20 ready pods"
    walk.ask(Promote(MANAGER))
    walk.ticks = 0
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED


def test_hand_back_continues_once_the_autoscalers_minimum_is_raised() -> None:
    scaled = Autoscaled(fights=True)
    scaled.to_the_window().to_step("hand back")
    scaled.ticks(12)
    scaled.fights = False
    scaled.walk.cluster.deployments["hello"].replicas = 20
    assert scaled.to_the_end().release.phase is Phase.SUCCEEDED


def test_switch_waits_for_as_many_green_pods_as_serve() -> None:
    """An autoscaler that shrinks blue right before the switch lowers no promise."""
    scaled = Autoscaled()
    walk = scaled.walk
    walk.approves = False
    walk.to_step("green", gate="switch")
    walk.cluster.faulty = True
    scaled.shrink()
    for pod in walk.cluster.deployments["hello-green"].pods()[:12]:
        pod.ready = False
    walk.approves = True
    walk.until(lambda walk: bool(walk.switches()))
    assert len(walk.cluster.selected("hello")) >= 15


# --- back -----------------------------------------------------------------------------------------


def test_rolling_back_a_healthy_green_raises_blue_first() -> None:
    scaled = Autoscaled()
    walk = scaled.to_the_window()
    walk.abort()
    scaled.ticks(2)
    assert not scaled.is_blue()
    assert walk.release.progress.waits_for == "hello has 2 of 20 ready pods"
    walk = scaled.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK and raises(walk) == [20]
    assert "hello-green" not in walk.cluster.deployments


def test_a_second_abort_uses_what_is_ready_at_once() -> None:
    walk = Autoscaled().to_the_window()
    walk.abort()
    walk.tick()
    walk.abort()
    walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert raises(walk)[-1] == 20


def test_a_second_click_on_the_card_of_the_window_hurries_nothing() -> None:
    walk = Autoscaled().to_the_window()
    walk.abort()
    walk.tick()
    stands_at = capacity_name(walk.release)
    stale = respond(walk.release, Abort(DEVELOPER, at="card"), walk.now)
    assert "already rolling back" in stale.refusal
    assert not respond(walk.release, Abort(DEVELOPER, at=stands_at), walk.now).refusal


def test_the_way_back_from_a_failing_green_is_at_once_and_says_with_how_many_pods() -> None:
    walk = Autoscaled().to_the_window()
    walk.cluster.deployments["hello-green"].pods()[0].ready = False
    walk.cluster.broken_images.add("kelseyhightower/hello:2.0.0")
    walk.abort()
    walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE
    assert any("with 2 of 19 pods now, the rest behind" in text for text in walk.told)
    walk.to_the_end()
    assert raises(walk) == [19]


def test_a_green_that_begins_to_fail_ends_the_wait() -> None:
    walk = Autoscaled().to_the_window()
    walk.abort()
    walk.tick()
    walk.cluster.broken_images.add("kelseyhightower/hello:2.0.0")
    walk.cluster.deployments["hello-green"].pods()[0].ready = False
    walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE


def test_a_raise_taken_back_on_the_way_back_is_named_and_has_an_end() -> None:
    scaled = Autoscaled(fights=True)
    walk = scaled.to_the_window()
    walk.abort()
    scaled.ticks(12)
    told = next(text for text in walk.told if "took hello back" in text)
    assert "`rollout abort hello` again" in told
    walk.abort()
    walk.ticks = 0
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK


def test_rolling_back_to_a_whole_blue_needs_no_raise() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.abort()
    walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE
    walk.to_the_end()
    assert raises(walk) == []


def test_a_green_that_something_else_made_smaller_is_waited_for_by_name() -> None:
    walk = scenes.plain().to_step("green")
    walk.until(lambda walk: "hello-green" in walk.cluster.deployments)
    walk.tick()
    green = walk.cluster.deployments["hello-green"]
    green.replicas, green.generation = 1, green.generation + 1
    walk.tick()
    walk.ask(Adopt(DEVELOPER))
    walk.tick()
    walk.now += MINUTE
    walk.tick()
    waits_for = walk.release.progress.waits_for
    assert waits_for == "hello-green has 1 of the 3 pods that hello runs"
