"""Single moments of a blue/green release: the order of writes, who serves, what goes wrong and
where it leads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import (
    CreateDeployment,
    DeleteDeployment,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.observation import EndpointSeen
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Finish, Reject
from bot.releases.planning.draining import PROXIES_FOLLOW_MS
from tests.builders import DEVELOPER, MANAGER, SECOND, T0, a_service
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk

ON_GREEN = {"app": "hello-green"}
ON_BLUE = {"app": "hello"}


def names_of(walk: Walk, deployment: str) -> list[str]:
    return [pod.name for pod in walk.cluster.deployments[deployment].pods()]


def test_the_first_tick_plans_and_writes_nothing() -> None:
    walk = scenes.plain()
    decision = decide(walk.release, walk.look(), T0)
    assert decision.actions == ()
    assert decision.release.as_found is not None


def test_green_is_created_inert_and_made_live_by_a_tested_patch() -> None:
    walk = scenes.plain().to_step("green", gate="switch")
    created = next(one for one in walk.written if isinstance(one, CreateDeployment))
    live = [
        one
        for one in walk.written
        if isinstance(one, PatchDeployment) and one.name == "hello-green"
    ]
    assert created.body["spec"]["replicas"] == 0
    assert [(one.claim, [c.after for c in one.changes]) for one in live] == [("hello-42", [3])]


def test_green_sleeps_before_it_ends_only_where_the_service_selects_both_sides() -> None:
    """Elsewhere the selector leaves it first. A pair that is kept never gets such a hook."""
    for scene, hooks in ((scenes.by_version_label, 1), (scenes.plain, 0), (scenes.kept, 0)):
        walk = scene().to_step("green", gate="switch")
        created = next(one for one in walk.written if isinstance(one, CreateDeployment))
        containers = created.body["spec"]["template"]["spec"]["containers"]
        assert [one["lifecycle"] for one in containers if "lifecycle" in one] == hooks * [
            {"preStop": {"sleep": {"seconds": 5}}}
        ]


def test_greens_selector_never_matches_a_pod_of_stable() -> None:
    for scene in (
        scenes.plain,
        scenes.by_version_label,
        scenes.version_label_beside,
        scenes.two_services,
    ):
        walk = scene().to_step("hand back")
        selector = walk.cluster.deployments["hello-green"].selector["matchLabels"]
        for one in walk.cluster.deployments["hello"].sets:
            assert not selector.items() <= one.template["metadata"]["labels"].items()


def test_does_not_switch_without_approval() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    for _ in range(20):
        walk.tick()
    assert walk.release.phase is Phase.AWAITING_PROMOTION
    assert walk.switches() == []


def test_an_automatic_switch_waits_only_for_every_green_pod() -> None:
    walk = Walk(scenes.plain().cluster, scenes.a_release_of(promote="automatic"), approves=False)
    walk.until(lambda walk: bool(walk.switches()))
    green = walk.cluster.deployments["hello-green"]
    assert [pod.ready for pod in green.pods()] == [True, True, True]


def test_does_not_switch_when_green_lost_a_pod_after_the_approval() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    walk.approves = True
    walk.tick()
    walk.cluster.deployments["hello-green"].pods()[0].ready = False
    assert walk.release.progress.gate is not None
    assert walk.release.progress.gate.votes
    walk.tick()
    assert walk.switches() == []
    walk.to_step("switch", gate="window")
    assert walk.switches() == [("hello", ON_GREEN)]


def test_two_services_are_switched_in_order_and_rolled_back_both() -> None:
    walk = scenes.two_services().to_step("switch", gate="window")
    assert [name for name, _ in walk.switches()] == ["hello", "hello-internal"]
    walk.abort()
    walk.to_the_end()
    assert [name for name, _ in walk.switches()[2:]] == ["hello", "hello-internal"]
    assert walk.release.phase is Phase.ROLLED_BACK


def test_rollback_in_the_window_is_one_patch_in_the_next_tick() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.abort()
    before = len(walk.written)
    walk.tick()
    walk.tick()
    assert [
        one.changes[0].after for one in walk.written[before:] if isinstance(one, PatchService)
    ] == [ON_BLUE]


def test_green_that_served_is_removed_only_after_proxies_have_followed() -> None:
    """Endpoints leave at once, and a node's proxy a moment later."""
    walk = scenes.plain().to_step("switch", gate="window")
    walk.abort()
    walk.to_step("remove")
    since = walk.release.progress.began_at
    walk.until(lambda walk: any(isinstance(one, DeleteDeployment) for one in walk.written))
    assert walk.now - since >= PROXIES_FOLLOW_MS
    walk.to_the_end()
    assert walk.cluster.state() == walk.before


def test_a_late_endpoint_of_green_gives_the_proxies_their_time_anew() -> None:
    """A slice that is behind the others lists it once more."""
    walk = scenes.plain().to_step("switch", gate="window")
    walk.abort()
    walk.to_step("remove")
    walk.tick()
    walk.now += PROXIES_FOLLOW_MS
    walk.cluster.endpoints["hello"] += names_of(walk, "hello-green")
    walk.tick()
    since = walk.now
    walk.until(lambda walk: any(isinstance(one, DeleteDeployment) for one in walk.written))
    assert walk.now - since >= PROXIES_FOLLOW_MS
    walk.to_the_end()
    assert walk.cluster.state() == walk.before


def test_green_that_never_served_is_removed_at_once() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    since = walk.now
    walk.abort()
    walk.until(lambda walk: any(isinstance(one, DeleteDeployment) for one in walk.written))
    assert walk.now - since < PROXIES_FOLLOW_MS


def test_the_thread_says_when_every_new_request_is_on_green() -> None:
    line = "every new request is on hello-green (2.0.0)"
    walk = scenes.plain().to_step("switch", gate="window")
    since = walk.release.progress.gate.opened_at if walk.release.progress.gate else 0
    while line not in walk.told:
        at = walk.now
        walk.tick()
    assert PROXIES_FOLLOW_MS <= at - since <= 2 * PROXIES_FOLLOW_MS
    walk.to_the_end()
    assert walk.told.count(line) == 1


def test_a_late_endpoint_of_blue_delays_what_the_thread_says() -> None:
    line = "every new request is on hello-green (2.0.0)"
    walk = scenes.plain().to_step("switch", gate="window")
    walk.now += PROXIES_FOLLOW_MS
    walk.cluster.endpoints["hello"] += names_of(walk, "hello")
    walk.tick()
    assert line not in walk.told
    since = walk.now
    while line not in walk.told:
        at = walk.now
        walk.tick()
    assert PROXIES_FOLLOW_MS <= at - since <= 2 * PROXIES_FOLLOW_MS


def test_a_pod_of_blue_that_ends_but_serves_delays_what_the_thread_says() -> None:
    """A proxy may send it requests where nothing else is ready on its node."""
    walk = scenes.plain().to_step("switch", gate="window")
    (endpoint,) = names_of(walk, "hello")[:1]
    seen = walk.look()
    ending = EndpointSeen(
        "hello", "10.1.1.1", endpoint, f"uid-{endpoint}", False, terminating=True, serving=True
    )
    later = walk.now + 2 * PROXIES_FOLLOW_MS
    assert not decide(
        walk.release, replace(seen, endpoints=(*seen.endpoints, ending)), later
    ).events


def test_window_lasts_at_least_thirty_seconds() -> None:
    walk = Walk(scenes.plain().cluster, scenes.a_release_of(rollback_window_ms=0)).to_step(
        "switch", gate="window"
    )
    since = walk.release.progress.gate.opened_at if walk.release.progress.gate else 0
    assert respond(walk.release, Finish(MANAGER), since + SECOND).refusal
    walk.to_step("settle")
    assert walk.now - since >= 30 * SECOND


def test_green_is_removed_thirty_seconds_after_it_stopped_serving() -> None:
    walk = scenes.plain().to_step("hand back", gate="drain")
    since = walk.release.progress.gate.opened_at if walk.release.progress.gate else 0
    walk.until(lambda walk: "hello-green" not in walk.cluster.deployments)
    assert walk.now - since >= 30 * SECOND


def test_with_an_autoscaler_green_grows_with_blue_and_never_shrinks() -> None:
    walk = scenes.with_autoscaler()
    walk.approves = False
    walk.to_step("green", gate="switch")
    blue, green = walk.cluster.deployments["hello"], walk.cluster.deployments["hello-green"]
    blue.replicas = 5
    walk.until(lambda walk: green.replicas == 5)
    walk.approves = True
    walk.to_step("switch", gate="window")
    walk.cluster.faulty = True  # it is the autoscaler that shrinks blue
    blue.replicas = 2
    walk.tick()
    assert green.replicas == 5
    assert not walk.release.drift


def test_a_bad_image_is_reported_and_never_serves() -> None:
    walk = scenes.plain()
    walk.cluster.broken_images.add("kelseyhightower/hello:2.0.0")
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.release.cause is not None
    assert walk.release.cause.failure is FailureClass.PERMANENT
    assert walk.switches() == []
    assert walk.cluster.state() == walk.before


def test_a_rejected_switch_removes_green() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    assert walk.release.plan is not None
    walk.ask(Reject(MANAGER, "switch", walk.release.plan.hash))
    walk.to_the_end()
    assert walk.release.phase is Phase.REJECTED
    assert walk.cluster.state() == walk.before


def phase_of(walk: Walk) -> Phase:
    return walk.release.phase


def test_a_manually_reverted_service_lands_on_blue_and_is_drift() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.cluster.select("hello", ON_BLUE)
    walk.tick()
    assert phase_of(walk) is Phase.DRIFTED
    assert walk.release.drift[0].name == "hello"
    assert len(walk.cluster.selected("hello")) == 3
    written = len(walk.written)
    walk.tick()
    assert len(walk.written) == written, "held: nothing is written over somebody else's change"
    walk.abort()
    walk.to_the_end()
    assert phase_of(walk) is Phase.ABORTED
    assert walk.cluster.state() == walk.before


def test_a_service_reverted_twice_ends_the_release() -> None:
    release = scenes.a_release_of(rollback_window_ms=3600 * SECOND)
    walk = Walk(scenes.plain().cluster, release).to_step("switch", gate="window")
    for selector in (ON_BLUE, ON_GREEN, ON_BLUE):
        walk.cluster.select("hello", selector)
        walk.tick()
        walk.tick()
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED
    assert walk.release.cause is not None
    assert walk.release.cause.failure is FailureClass.DRIFT
    assert walk.cluster.state() == walk.before


@pytest.mark.parametrize("harm", ["deleted", "emptied"])
def test_returns_to_blue_at_once_when_a_serving_green_is_removed(harm: str) -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.cluster.faulty = True
    if harm == "deleted":
        del walk.cluster.deployments["hello-green"]
    else:
        walk.cluster.deployments["hello-green"].replicas = 0
        walk.cluster.beat()
    walk.cluster.beat()
    for _ in range(3):
        walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE
    walk.cluster.faulty = False
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED
    assert walk.cluster.state() == walk.before


def test_green_dying_during_stables_rollback_leaves_pods_serving() -> None:
    walk = scenes.plain().to_step("settle")
    walk.tick()
    walk.abort()
    walk.cluster.faulty = True
    walk.cluster.broken_images.add("kelseyhightower/hello:2.0.0")
    for pod in walk.cluster.deployments["hello-green"].pods():
        pod.ready = False
    walk.cluster.beat()
    walk.tick()
    walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE
    assert walk.cluster.selected("hello")
    walk.cluster.faulty = False
    walk.to_the_end()
    assert walk.cluster.state() == walk.before


@pytest.mark.parametrize("scene", [scenes.by_version_label, scenes.two_services_by_version])
def test_rollback_without_green_keeps_a_versioned_service_serving(
    scene: object,
) -> None:
    assert callable(scene)
    walk: Walk = scene()
    walk.to_step("finish")
    assert "hello-green" not in walk.cluster.deployments
    walk.abort()
    walk.to_the_end()
    assert walk.cluster.state() == walk.before


def test_a_hand_made_green_is_adopted_as_it_is_and_switched() -> None:
    walk = scenes.hand_made_pair_kept().to_step("switch", gate="window")
    green = [
        one
        for one in walk.written
        if isinstance(one, PatchDeployment) and one.name == "hello-green"
    ]
    assert [[change.field.value for change in one.changes] for one in green] == [["claim"]]
    assert walk.switches() == [("hello", {"app": "hello", "version": "2.0.0"})]


def next_release(cluster: ModelledCluster, version: str, label: str | None) -> Walk:
    return Walk(cluster, scenes.a_release_of(version_label=label, version=version, settle="keep"))


@pytest.mark.parametrize("label", [None, "version"])
def test_a_kept_pair_takes_turns(label: str | None) -> None:
    first = scenes.kept() if label is None else scenes.hand_made_pair_kept()
    first.to_the_end()
    assert first.release.phase is Phase.SUCCEEDED
    second = next_release(first.cluster, "3.0.0", label).to_the_end()
    assert second.release.phase is Phase.SUCCEEDED
    assert second.release.from_version == "2.0.0"
    assert second.release.target.deployment == "hello-green"
    images = {
        item.name: item.template["spec"]["containers"][0]["image"]
        for item in first.cluster.deployments.values()
    }
    assert images == {
        "hello": "kelseyhightower/hello:3.0.0",
        "hello-green": "kelseyhightower/hello:2.0.0",
    }
    serving = first.cluster.selected("hello")
    assert len(serving) == 3
    assert all(name.startswith("hello-") and not name.startswith("hello-green") for name in serving)


@pytest.mark.parametrize("label", [None, "version"])
def test_abort_of_a_swapped_pair_leaves_both_as_found(label: str | None) -> None:
    first = scenes.kept() if label is None else scenes.hand_made_pair_kept()
    for walk in next_release(first.to_the_end().cluster, "3.0.0", label).moments():
        where = f"tick {walk.ticks}, step {walk.step} {walk.gate}"
        walk.abort()
        walk.to_the_end()
        assert walk.cluster.state() == walk.before, where


def test_refuses_a_kept_green_whose_own_selector_holds_the_version() -> None:
    cluster = scenes.hand_made_pair_kept().to_the_end().cluster
    next_release(cluster, "3.0.0", "version").to_the_end()
    third = next_release(cluster, "4.0.0", "version").to_the_end()
    assert third.release.phase is Phase.FAILED
    assert third.release.cause is not None
    assert "kubectl -n default delete deployment hello-green" in third.release.cause.summary
    del cluster.deployments["hello-green"]
    assert next_release(cluster, "4.0.0", "version").to_the_end().release.phase is Phase.SUCCEEDED


def test_refuses_abort_during_a_rollback() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.abort()
    assert "already rolling back" in respond(walk.release, Abort(DEVELOPER), walk.now).refusal


def test_preview_service_exists_only_before_the_switch() -> None:
    walk = scenes.with_preview().to_step("green", gate="switch")
    assert len(walk.cluster.selected("hello-preview")) == 3
    assert walk.release.card_snapshot.serving == "stable"
    walk.to_the_end()
    assert "hello-preview" not in walk.cluster.services


def test_a_foreign_preview_service_is_neither_rewritten_nor_deleted() -> None:
    walk = scenes.with_preview().to_step("green", gate="switch")
    theirs = a_service("hello-preview", selector={"app": "theirs"})
    walk.cluster.services["hello-preview"] = theirs
    walk.abort()
    walk.to_the_end()
    assert walk.cluster.services["hello-preview"] == theirs


def test_a_preview_service_created_meanwhile_ends_the_release() -> None:
    walk = scenes.with_preview()
    walk.tick()
    theirs = a_service("hello-preview", selector={"app": "theirs"})
    walk.cluster.services["hello-preview"] = theirs
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED and walk.release.cause is not None
    assert walk.release.cause.summary.startswith("something else created hello-preview meanwhile")
    assert walk.cluster.services["hello-preview"] == theirs


def test_second_service_stays_on_green_while_stable_lacks_a_pod() -> None:
    walk = scenes.two_services().to_step("settle")
    handed = len(walk.switches())
    walk.until(lambda walk: len(walk.switches()) == handed + 1)
    walk.cluster.faulty = True
    for _ in range(3):
        walk.cluster.deployments["hello"].pods()[0].ready = False
        walk.tick()
        assert len(walk.switches()) == handed + 1
    walk.cluster.faulty = False
    walk.to_the_end()
    assert len(walk.switches()) == handed + 2
    assert walk.release.phase is Phase.SUCCEEDED


def test_card_snapshot_shows_which_side_serves_and_since_when() -> None:
    walk = scenes.plain().to_step("green", gate="switch")
    assert (walk.release.card_snapshot.serving, walk.release.card_snapshot.serving_since) == (
        "stable",
        0,
    ), "since before the release"
    walk.to_step("switch", gate="window")
    since = walk.release.card_snapshot.serving_since
    assert walk.release.card_snapshot.serving == "candidate"
    assert walk.release.progress.gate is not None
    assert abs(since - walk.release.progress.gate.opened_at) <= 3 * SECOND
    walk.tick()
    assert walk.release.card_snapshot.serving_since == since
