"""Past the point of no return, and for a scale, only a person rolls back: what is not done is kept,
reported and asked about."""

from __future__ import annotations

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.respond import respond
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Refuse
from tests.builders import (
    MINUTE,
    SECOND,
    T0,
    a_deployment,
    a_replica_set,
    a_scaling,
    a_template,
    an_observation,
    pods_for,
)
from tests.transitions.bluegreen import scenes
from tests.transitions.ticks import claimed, patched, text_of


def scaled_up(**unready: object) -> Observation:
    """From 3 to 30: 28 are ready."""
    template = a_template()
    ready = pods_for("hello-1", template, 28)
    others = pods_for("hello-1-late", template, 2, ready=0, **unready)
    sets = (a_replica_set("hello-1", template, pods=(*ready, *others)),)
    return an_observation(claimed(a_deployment(replicas=30, replica_sets=sets), cause=""))


@pytest.mark.parametrize(
    "unready",
    [{"unschedulable": "0/3 nodes are available"}, {"waiting": "InvalidImageName"}, {}],
)
def test_an_incomplete_scale_keeps_its_ready_pods_and_asks(unready: dict[str, object]) -> None:
    release = patched(a_scaling(30))
    for minute in range(90):
        decision = decide(release, scaled_up(**unready), T0 + minute * MINUTE)
        release = decision.release
        assert decision.actions == () and release.rollback is None
        if any(event.kind is EventKind.ENVIRONMENT for event in decision.events):
            break
    assert "Abort, or wait?" in text_of(decision, EventKind.ENVIRONMENT)


def test_a_finalizer_on_green_takes_nobody_back() -> None:
    walk = scenes.plain().to_step("hand back", gate="drain")
    green = walk.cluster.deployments["hello-green"]
    for _ in range(20):
        walk.cluster.deployments["hello-green"] = green
        walk.tick()
        walk.now += MINUTE
    assert walk.release.phase is Phase.PROGRESSING and walk.release.rollback is None
    assert any("still not done" in text and "hello-green" in text for text in walk.told)


def test_a_refusal_past_the_point_of_no_return_is_reported_once_and_takes_nobody_back() -> None:
    walk = scenes.plain().to_step("remove")
    first = respond(walk.release, Refuse("deletes are denied"), walk.now)
    assert first.release.rollback is None and len(first.events) == 1
    second = respond(first.release, Refuse("deletes are denied"), walk.now + SECOND)
    assert second.release.rollback is None and second.events == ()


def test_a_service_reverted_twice_past_the_window_is_held_and_takes_nobody_back() -> None:
    walk = scenes.plain().to_step("settle")
    for selector in ({"app": "hello"}, {"app": "hello-green"}, {"app": "hello"}):
        walk.cluster.select("hello", selector)
        walk.tick()
        walk.tick()
    assert walk.release.phase is Phase.DRIFTED and walk.release.rollback is None
