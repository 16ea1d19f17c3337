"""Before a Service changes hands, what takes over has as many ready pods as serve now. Only the way
back from a version that fails does not wait."""

from __future__ import annotations

import pytest

from bot.releases.engine.respond import capacity_name, respond
from bot.releases.facts.actions import PatchDeployment
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import AutoscalerSeen, Survey
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Adopt, Promote
from tests.builders import DEVELOPER, MANAGER, MINUTE
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk

ON_GREEN, ON_BLUE = {"app": "hello-green"}, {"app": "hello"}
VERSIONED = {"app": "hello", "version": "1.0.0"}


class Autoscaled:
    """Twenty pods of blue, which an autoscaler shrinks to two as soon as green serves.

    ``fights``: it takes back every raise that it observes.
    """

    def __init__(self, *, fights: bool = False, by_version: bool = False) -> None:
        survey = Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 20),))
        cluster = ModelledCluster(
            scenes.a_blue(scenes.VERSIONED, replicas=20),
            services={"hello": VERSIONED if by_version else ON_BLUE},
            survey=survey,
        )
        label = "version" if by_version else None
        self.walk = Walk(cluster, scenes.a_release_of(version_label=label))
        self.fights = fights

    def to_the_window(self) -> Walk:
        self.walk.to_step("switch", gate="window")
        self.walk.cluster.faulty = True  # it is the autoscaler that takes pods of stable away
        self.shrink()
        return self.walk

    def shrink(self) -> None:
        self.walk.cluster.deployments["hello"].replicas = 2
        self.walk.cluster.beat()

    def tick(self) -> None:
        """Asserts that no write hands the Service to fewer pods than served."""
        walk = self.walk
        before = walk.cluster.services["hello"].selector
        serving = len(walk.cluster.selected("hello"))
        walk.tick()
        if walk.cluster.services["hello"].selector != before:
            assert len(walk.cluster.selected("hello")) >= serving
        if self.fights and walk.cluster.deployments["hello"].replicas > 2 and not self.is_blue():
            self.shrink()

    def is_blue(self) -> bool:
        return self.walk.cluster.services["hello"].selector == ON_BLUE

    def to_the_end(self) -> Walk:
        while not self.walk.release.phase.is_final:
            self.tick()
        return self.walk

    def ticks(self, count: int) -> Walk:
        for _ in range(count):
            self.tick()
        return self.walk


def raises(walk: Walk) -> list[int]:
    return [
        change.after
        for one in walk.written
        if isinstance(one, PatchDeployment) and one.name == "hello"
        for change in one.changes
        if change.field is Field.REPLICAS
    ]


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
