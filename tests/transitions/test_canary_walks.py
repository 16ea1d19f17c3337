"""Whole canaries, from start to end and back from every moment, through the modelled cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bot.releases.facts.actions import CreateDeployment, PatchDeployment
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import CLAIM_ANNOTATION, AutoscalerSeen, Survey
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Adopt, Resume
from bot.releases.strategies.canary.steps import STICKY
from tests.builders import (
    DEVELOPER,
    NO_AFFINITY,
    REPOSITORY,
    SECOND,
    a_canary,
    a_rolling_update,
    a_template,
    rules_with,
)
from tests.transitions.bluegreen.modelled_cluster import Deployment, ModelledCluster
from tests.transitions.bluegreen.walk import Walk
from tests.variations import quick


def a_hello(
    *, replicas: int = 3, labels: Mapping[str, str] | None = None, **facts: Any
) -> Deployment:
    return Deployment(
        "hello",
        "uid-hello",
        a_template(labels=labels),
        replicas,
        {"matchLabels": {"app": "hello"}},
        labels={"app": "hello"},
        annotations={"team": "greeting", "kubernetes.io/change-cause": "by hand to 1.0.0"},
        **facts,
    )


def a_hand_made_canary(version: str = "2.0.0", *, replicas: int = 1) -> Deployment:
    """As the lab has it: the same app label, `track: canary`, a version of its own."""
    labels = {"app": "hello", "track": "canary", "version": version}
    return Deployment(
        "hello-canary", "uid-by-hand", a_template(version, labels=labels), replicas,
        {"matchLabels": {"app": "hello", "track": "canary"}}, labels={},
    )  # fmt: skip


def a_walk(
    *deployments: Deployment,
    survey: Survey | None = None,
    canary: Mapping[str, Any] | None = None,
    **options: Any,
) -> Walk:
    rules = rules_with(canary={"hold_ms": 10 * SECOND, **(canary or {})})
    cluster = ModelledCluster(
        *(deployments or (a_hello(),)), services={"hello": {"app": "hello"}}, survey=survey
    )
    return Walk(cluster, a_canary(rules=rules, **options))


def plain() -> Walk:
    return a_walk()


def sticky() -> Walk:
    return a_walk(sticky=True)


def shifting() -> Walk:
    return a_walk(a_hello(replicas=5), canary={"mode": "shift", "steps": (20, 50, 80)})


def one_replica_that_may_miss() -> Walk:
    return a_walk(a_hello(replicas=1, strategy=a_rolling_update(0, 1)), steps=(50,))


def ten_replicas() -> Walk:
    return a_walk(a_hello(replicas=10, strategy=a_rolling_update("25%", "40%")), steps=(10,))


def adopted() -> Walk:
    return a_walk(
        a_hello(labels={"app": "hello", "track": "stable", "version": "1.0.0"}),
        a_hand_made_canary(),
    )


def with_autoscaler() -> Walk:
    return a_walk(survey=Survey(autoscalers=(AutoscalerSeen("hello", "hello", 2, 9),)))


SCENES: dict[str, Callable[[], Walk]] = {
    scene.__name__: scene
    for scene in (
        plain,
        sticky,
        shifting,
        one_replica_that_may_miss,
        ten_replicas,
        adopted,
        with_autoscaler,
    )
}


def without_candidate(state: dict[str, Any]) -> dict[str, Any]:
    state["deployments"].pop("hello-canary", None)
    return state


@pytest.mark.parametrize("name", quick(SCENES, at_most=3))
def test_the_version_is_the_only_difference_at_the_end(name: str) -> None:
    walk = SCENES[name]().to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED, walk.told
    after, before = walk.cluster.state(), without_candidate(walk.before)
    assert (
        after["deployments"]["hello"]["template"]["spec"]["containers"][0]["image"]
        == f"{REPOSITORY}:2.0.0"
    )
    before["deployments"]["hello"]["template"]["spec"]["containers"][0]["image"] = (
        f"{REPOSITORY}:2.0.0"
    )
    cause = after["deployments"]["hello"]["annotations"].pop("kubernetes.io/change-cause")
    before["deployments"]["hello"]["annotations"].pop("kubernetes.io/change-cause")
    assert after == before
    assert "hello-42" in cause


@pytest.mark.parametrize("name", quick(SCENES, at_most=3))
def test_an_abort_at_any_moment_leaves_everything_as_found(name: str) -> None:
    for walk in SCENES[name]().moments():
        wrote = bool(walk.written)
        where = f"{name}: tick {walk.ticks}, step {walk.step} {walk.gate}"
        walk.abort()
        walk.to_the_end()
        assert walk.release.phase is Phase.ABORTED, where
        before = (
            without_candidate(walk.before)
            if wrote and walk.cluster.deployments.get("hello-canary") is None
            else walk.before
        )
        assert walk.cluster.state() == before, where


@pytest.mark.parametrize("name", quick(SCENES, at_most=3))
def test_the_next_tick_recovers_from_a_worker_that_died_after_any_save(name: str) -> None:
    for walk in SCENES[name]().moments():
        walk.tick(crash_after=0)
        dies_in = walk.ticks
        assert walk.to_the_end().release.phase is Phase.SUCCEEDED, f"{name}: dies in tick {dies_in}"


@pytest.mark.parametrize("name", ["plain", "shifting", "ten_replicas", "one_replica_that_may_miss"])
def test_never_fewer_pods_serve_than_before_the_release(name: str) -> None:
    walk = SCENES[name]()
    least = walk.cluster.deployments["hello"].replicas
    while not walk.release.phase.is_final:
        walk.tick()
        ready = len(walk.cluster.selected("hello"))
        assert ready >= least, f"{ready} of {least} at step {walk.step}"


def test_the_candidate_is_created_inert_and_made_live_by_a_tested_patch() -> None:
    walk = plain().to_step("share-25", gate="hold")
    made = [action for action in walk.written if isinstance(action, CreateDeployment)]
    assert [(one.name, one.body["spec"]["replicas"]) for one in made] == [("hello-canary", 0)]
    live = [a for a in walk.written if isinstance(a, PatchDeployment) and a.name == "hello-canary"]
    assert [(a.claim, [(c.field, c.before, c.after) for c in a.changes]) for a in live] == [
        ("hello-42", [(Field.REPLICAS, 0, 1)])
    ]


def test_the_shares_rise_step_by_step_and_a_person_promotes() -> None:
    walk = a_walk()
    walk.approves = False
    walk.until(lambda w: w.release.phase is Phase.AWAITING_PROMOTION)
    assert [(step.wanted_share, step.share) for step in walk.release.steps if step.share] == [
        (20, 25),
        (50, 50),
        (100, 100),
    ]
    assert walk.release.card_snapshot.share == 50
    stays = walk.release.progress.at_step
    for _ in range(20):
        walk.tick()
    assert (walk.release.phase, walk.release.progress.at_step) == (Phase.AWAITING_PROMOTION, stays)


def test_while_stable_rolls_its_new_pods_count_for_the_share_of_the_new_version() -> None:
    walk = a_walk(a_hello(replicas=4), steps=(50,)).to_step("promote")
    shares = []
    while walk.step != "finish":
        walk.tick()
        shares.append(walk.release.card_snapshot.share or 0)
    assert (
        shares == sorted(shares) and shares[0] >= 50 and shares[-1] == 100 and len(set(shares)) > 2
    )


def test_sticky_binds_clients_and_restores_the_affinity() -> None:
    walk = sticky().to_step("share-25", gate="hold")
    assert walk.cluster.services["hello"].affinity == STICKY
    assert walk.to_the_end().cluster.services["hello"].affinity == NO_AFFINITY


def test_shift_mode_shrinks_stable_only_when_the_candidates_are_ready() -> None:
    walk = shifting()
    sizes: list[tuple[int, int]] = []
    while walk.step != "promote":
        walk.tick()
        hello, canary = (
            walk.cluster.deployments["hello"],
            walk.cluster.deployments.get("hello-canary"),
        )
        sizes.append((hello.replicas, sum(pod.ready for pod in canary.pods()) if canary else 0))
    assert all(stable + ready >= 5 for stable, ready in sizes)
    assert (1, 4) in sizes
    assert walk.to_the_end().cluster.deployments["hello"].replicas == 5


def test_the_promotion_scales_candidates_to_cover_missing_stable_pods() -> None:
    walk = ten_replicas()
    walk.until(lambda w: w.step == "finish")
    scaled = [
        change.after
        for action in walk.written
        if isinstance(action, PatchDeployment) and action.name == "hello-canary"
        for change in action.changes
        if change.field is Field.REPLICAS
    ]
    assert scaled == [1, 4]


def test_a_canary_begun_by_hand_is_adopted_as_it_is() -> None:
    walk = adopted().to_step("share-25", gate="hold")
    canary = walk.cluster.deployments["hello-canary"]
    assert canary.uid == "uid-by-hand"
    assert canary.annotations[CLAIM_ANNOTATION] == "hello-42"
    assert not [action for action in walk.written if isinstance(action, CreateDeployment)]


def test_an_image_that_cannot_be_pulled_rolls_the_canary_back_at_once() -> None:
    walk = plain()
    walk.cluster.broken_images.add(f"{REPOSITORY}:2.0.0")
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.cluster.state() == walk.before


def test_the_writes_stay_within_two_a_step_and_six() -> None:
    walk = plain().to_the_end()
    assert len(walk.written) <= 2 * 2 + 6


def test_leaves_someone_elses_deployment_of_that_name_alone() -> None:
    walk = plain()
    walk.until(lambda w: w.release.plan is not None)
    stranger = a_hand_made_canary("9.9.9")
    walk.cluster.deployments["hello-canary"] = stranger
    walk.cluster.faulty = True
    walk.tick()
    walk.tick()
    before = walk.cluster.deployments["hello-canary"]
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED
    assert (
        walk.cluster.deployments["hello-canary"] is before
        and CLAIM_ANNOTATION not in before.annotations
    )


def test_a_rollback_leaves_the_candidates_that_a_service_selects_alone() -> None:
    walk = a_walk().to_step("share-50", gate="hold")
    candidate = walk.cluster.deployments["hello-canary"]
    walk.cluster.select("hello", dict(candidate.template["metadata"]["labels"]))
    walk.tick()
    walk.ask(Adopt(DEVELOPER))
    walk.to_the_end()
    assert walk.cluster.selected("hello") == [pod.name for pod in candidate.pods()]
    assert {item.annotations.get(CLAIM_ANNOTATION) for item in (candidate,)} == {None}


def test_candidates_that_came_to_serve_alone_stay() -> None:
    """Their removal was lost; before it was sent again, something else changed the selector."""
    walk = plain().to_step("share-50")
    walk.cluster.faulty = True  # another hand is in it
    walk.abort()
    while walk.step != "back":
        walk.tick(crash_after=0)
    canary = walk.cluster.deployments["hello-canary"]
    walk.cluster.select("hello", dict(canary.template["metadata"]["labels"]))
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED
    assert walk.cluster.selected("hello")


def test_a_stable_that_was_paused_after_the_canary_left_is_resumed() -> None:
    walk = a_walk(a_hello(replicas=4), canary={"mode": "shift"}).until(
        lambda walk: walk.step == "finish" and "hello-canary" not in walk.cluster.deployments
    )
    walk.cluster.faulty = True
    walk.cluster.deployments["hello"].paused = True
    walk.until(lambda walk: walk.release.phase is Phase.DRIFTED)
    walk.ask(Resume(DEVELOPER))
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert not walk.cluster.deployments["hello"].paused
