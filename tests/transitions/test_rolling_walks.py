"""Whole rolls, from start to end and back from every moment, through the modelled cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.releases.facts.changes import Change, Deploy, Reapply, Restart, Scale, Undo
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Pause, Resume
from tests.builders import DEVELOPER, REPOSITORY, a_release, a_rolling_update, a_template
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.test_canary_walks import a_hello


def a_walk(
    change: Change, *, replicas: int = 3, surge: int | str = "25%", unavailable: int | str = "25%"
) -> Walk:
    hello = a_hello(replicas=replicas, strategy=a_rolling_update(surge, unavailable))
    return Walk(ModelledCluster(hello, services={"hello": {"app": "hello"}}), a_release(change))


SCENES: dict[str, Callable[[], Walk]] = {
    "deploy": lambda: a_walk(Deploy("2.0.0")),
    "without surge": lambda: a_walk(Deploy("2.0.0"), replicas=5, surge=0, unavailable=2),
    "scale up": lambda: a_walk(Scale(6)),
    "scale down": lambda: a_walk(Scale(1)),
    "restart": lambda: a_walk(Restart()),
    "undo": lambda: a_walk(Undo(template=a_template("0.9.0"))),
    "apply": lambda: a_walk(Reapply(a_template("1.0.0", serviceAccountName="hello"))),
}


@pytest.mark.parametrize("name", SCENES)
def test_a_roll_succeeds_and_leaves_no_claim(name: str) -> None:
    walk = SCENES[name]().to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert walk.cluster.state()["deployments"]["hello"]["claim"] == ""


@pytest.mark.parametrize("name", SCENES)
def test_a_roll_takes_two_writes(name: str) -> None:
    assert (
        len(SCENES[name]().to_the_end().written) == 2
    )  # the change with the claim, and letting go


@pytest.mark.parametrize("name", SCENES)
def test_an_abort_at_any_moment_leaves_everything_as_found(name: str) -> None:
    for walk in SCENES[name]().moments():
        where = f"{name}: tick {walk.ticks}"
        walk.abort()
        walk.to_the_end()
        assert walk.release.phase is Phase.ABORTED, where
        assert walk.cluster.state() == walk.before, where


@pytest.mark.parametrize("name", SCENES)
def test_the_next_tick_recovers_from_a_worker_that_died_after_any_save(name: str) -> None:
    for walk in SCENES[name]().moments():
        walk.tick(crash_after=0)
        dies_in = walk.ticks
        assert walk.to_the_end().release.phase is Phase.SUCCEEDED, f"{name}: dies in tick {dies_in}"


def test_a_pause_stops_the_roll_until_it_is_resumed() -> None:
    walk = a_walk(Deploy("2.0.0"), replicas=10)
    walk.tick()
    walk.tick()
    walk.ask(Pause(DEVELOPER))
    for _ in range(3):
        walk.tick()
    stands = [
        (one.template["spec"]["containers"][0]["image"], len(one.pods))
        for one in walk.cluster.deployments["hello"].sets
    ]
    writes = len(walk.written)
    for _ in range(20):
        walk.tick()
    hello = walk.cluster.deployments["hello"]
    assert [
        (one.template["spec"]["containers"][0]["image"], len(one.pods)) for one in hello.sets
    ] == stands
    assert len(walk.written) == writes and hello.paused
    walk.ask(Resume(DEVELOPER))
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED
    assert not walk.cluster.deployments["hello"].paused


def test_an_abort_of_a_paused_roll_does_not_leave_it_paused() -> None:
    walk = a_walk(Deploy("2.0.0"), replicas=10)
    walk.tick()
    walk.tick()
    walk.ask(Pause(DEVELOPER))
    for _ in range(3):
        walk.tick()
    walk.abort()
    assert walk.to_the_end().cluster.state() == walk.before


def test_a_bad_image_rolls_back_to_the_old_replica_set() -> None:
    walk = a_walk(Deploy("2.0.0"))
    walk.cluster.broken_images.add(f"{REPOSITORY}:2.0.0")
    pods = {pod.name for pod in walk.cluster.deployments["hello"].pods()}
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK and walk.cluster.state() == walk.before
    assert {pod.name for pod in walk.cluster.deployments["hello"].pods()} == pods


def test_a_rollback_that_waits_names_a_pause_that_is_not_its_own() -> None:
    walk = a_walk(Deploy("2.0.0"), replicas=10)
    for _ in range(8):
        walk.tick()
    walk.abort()
    walk.tick()
    hello = walk.cluster.deployments["hello"]
    hello.paused, hello.generation = True, hello.generation + 1
    for _ in range(6):
        walk.tick()
    assert walk.release.phase is Phase.ROLLING_BACK
    assert walk.release.progress.waits_for.endswith("; hello is paused, outside Pilothouse")
    hello.paused, hello.generation = False, hello.generation + 1
    assert walk.to_the_end().release.phase is Phase.ABORTED
