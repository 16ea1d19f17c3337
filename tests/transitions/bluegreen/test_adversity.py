"""What can happen to a blue/green release in the worst moment of it: paused, cut off, meddled with,
robbed of what it stands on."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import PatchService
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import Unreachable
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Adopt, Approve, Finish, Pause, Resume
from tests.builders import DEVELOPER, MANAGER, MINUTE, SECOND
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.modelled_cluster import Refused
from tests.transitions.bluegreen.test_moments import phase_of
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.hands import described, pin
from tests.variations import quick

ON_GREEN, ON_BLUE = {"app": "hello-green"}, {"app": "hello"}
SCENES = (scenes.plain, scenes.by_version_label, scenes.with_preview, scenes.kept)


# --- held -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", quick(SCENES, at_most=2))
def test_pause_at_any_moment_writes_nothing_and_resume_finishes(
    scene: Callable[[], Walk],
) -> None:
    whole = scene().to_the_end()
    paused = 0
    for walk in scene().moments():
        if respond(walk.release, Pause(DEVELOPER), walk.now).refusal:
            continue
        paused += 1
        walk.approves = False
        walk.ask(Pause(DEVELOPER))
        walk.tick()  # a roll that goes on is stopped at the Deployment itself
        written, found = len(walk.written), walk.cluster.state()
        for _ in range(4):
            walk.tick()
        assert len(walk.written) == written, f"written while paused: {walk.written[written:]}"
        assert walk.cluster.state() == found
        walk.ask(Resume(DEVELOPER))
        walk.approves = True
        walk.to_the_end()
        assert walk.release.phase is Phase.SUCCEEDED
        assert walk.cluster.services["hello"].selector == whole.cluster.services["hello"].selector
    assert paused > 5


@pytest.mark.parametrize("scene", quick(SCENES, at_most=2))
def test_abort_while_paused_leaves_everything_as_found(scene: Callable[[], Walk]) -> None:
    for walk in scene().moments():
        if respond(walk.release, Pause(DEVELOPER), walk.now).refusal:
            continue
        walk.approves = False
        walk.ask(Pause(DEVELOPER))
        walk.tick()
        walk.abort()
        walk.to_the_end()
        assert walk.cluster.state() == walk.before, walk.release.phase


@pytest.mark.parametrize("scene", quick(SCENES, at_most=2))
def test_waits_for_an_unreachable_cluster_at_any_moment(
    scene: Callable[[], Walk],
) -> None:
    for walk in scene().moments():
        for _ in range(3):
            decision = decide(walk.release, Unreachable(walk.now, "no route"), walk.now)
            assert decision.actions == ()
            walk.release = decision.release
            walk.cluster.beat()
            walk.now += MINUTE
        walk.to_the_end()
        assert walk.release.phase is Phase.SUCCEEDED


# --- between the look and the write ---------------------------------------------------------------


def test_does_not_overwrite_a_selector_edited_after_the_observation() -> None:
    walk = scenes.plain().to_step("green", gate="switch")
    while True:
        seen = walk.look()
        decision = decide(walk.release, seen, walk.now)
        patch = next((one for one in decision.actions if isinstance(one, PatchService)), None)
        if patch is not None:
            break
        walk.tick()
    walk.cluster.select("hello", {**ON_BLUE, "track": "stable"})
    walk.cluster.faulty = True  # that selector selects nobody, and it is not ours
    with pytest.raises(Refused):
        walk.cluster.apply(patch)
    walk.release = decision.release
    walk.tick()
    assert phase_of(walk) is Phase.DRIFTED
    assert walk.cluster.services["hello"].selector == {**ON_BLUE, "track": "stable"}
    walk.abort()
    walk.to_the_end()
    assert walk.cluster.state() == walk.before


def test_green_follows_an_autoscaler_after_the_approval() -> None:
    walk = scenes.with_autoscaler()
    walk.approves = False
    walk.to_step("green", gate="switch")
    assert walk.release.plan is not None
    walk.ask(Approve(MANAGER, "switch", walk.release.plan.hash))
    walk.cluster.deployments["hello"].replicas = 7
    walk.until(lambda walk: bool(walk.switches()))
    green = walk.cluster.deployments["hello-green"]
    assert sum(pod.ready for pod in green.pods()) == 7, (
        "green is as large as blue has become before anybody is sent there"
    )


def test_green_grows_with_a_scale_of_blue_that_is_kept() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    walk.cluster.deployments["hello"].replicas = 5
    walk.tick()
    assert phase_of(walk) is Phase.DRIFTED
    walk.ask(Adopt(DEVELOPER))
    walk.approves = True
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert len(walk.cluster.selected("hello")) == 5


def test_waits_for_a_green_pod_that_dies_right_before_the_switch() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    assert walk.release.plan is not None
    walk.ask(Approve(MANAGER, "switch", walk.release.plan.hash))
    del walk.cluster.deployments["hello-green"].sets[0].pods[0]
    walk.tick()
    assert walk.switches() == []
    walk.until(lambda walk: bool(walk.switches()))
    assert sum(pod.ready for pod in walk.cluster.deployments["hello-green"].pods()) == 3


def _robbed(walk: Walk) -> None:
    """Every green pod stops being ready at once, as with the node below them; nothing is wrong with
    the image."""
    walk.cluster.faulty = True
    for pod in walk.cluster.deployments["hello-green"].pods():
        pod.ready = False
    walk.cluster._follow()


@pytest.mark.parametrize("moment", ["window", "settle"])
@pytest.mark.parametrize("held", [False, True])
def test_losing_every_green_pod_returns_to_blue_even_while_paused(moment: str, held: bool) -> None:
    walk = scenes.plain().until(lambda walk: moment in (walk.step, walk.gate))
    if held:
        walk.ask(Pause(DEVELOPER))
    _robbed(walk)
    walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE
    walk.cluster.faulty = False
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.release.cause is not None
    assert "no pod of hello-green is ready any more" in walk.release.cause.summary
    assert walk.cluster.state() == walk.before


def test_does_not_roll_back_to_a_blue_that_cannot_serve() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    for pod in walk.cluster.deployments["hello"].pods():
        pod.ready = False
    _robbed(walk)
    decision = decide(walk.release, walk.look(), walk.now)
    assert decision.actions == ()
    assert decision.release.rollback is None


def test_waits_for_an_unready_green_before_the_switch() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    _robbed(walk)
    walk.tick()
    assert walk.release.phase is Phase.AWAITING_PROMOTION


# --- two at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("late_ms", [-1, 0, 1, 5_000])
def test_rollback_at_the_end_of_the_window_is_carried_out(
    late_ms: int,
) -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    assert walk.release.progress.gate is not None
    walk.now = walk.release.progress.gate.opened_at + 40 * SECOND + late_ms
    if late_ms >= 0:
        walk.tick()
    walk.abort()
    walk.to_the_end()
    assert walk.release.phase in (Phase.ROLLED_BACK, Phase.ABORTED)
    assert walk.cluster.state() == walk.before


def test_finish_now_after_a_rollback_changes_nothing() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.now += 35 * SECOND
    walk.abort()
    assert respond(walk.release, Finish(MANAGER), walk.now).refusal
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK


def test_rollback_after_finish_now_still_rolls_back() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.now += 35 * SECOND
    walk.ask(Finish(MANAGER))
    walk.abort()
    walk.to_the_end()
    assert walk.cluster.state() == walk.before


# --- meddled with ---------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["green", "window", "settle", "drain"])
def test_abort_restores_the_rest_when_a_service_was_deleted(moment: str) -> None:
    walk = scenes.plain()
    walk.approves = moment != "green"
    walk.until(lambda walk: moment in (walk.step, walk.gate))
    walk.cluster.faulty = True
    service = walk.cluster.services.pop("hello")
    walk.tick()
    assert walk.release.phase is Phase.DRIFTED
    assert walk.release.drift[0].field is Field.EXISTS
    written = len(walk.written)
    walk.tick()
    assert len(walk.written) == written
    walk.abort()
    walk.to_the_end()
    walk.cluster.services["hello"] = service
    found, before = walk.cluster.state(), copy.deepcopy(walk.before)
    assert found["deployments"] == before["deployments"]


@pytest.mark.parametrize("moment", ["window", "settle", "drain"])
def test_blue_deleted_after_the_switch_is_reported_and_green_keeps_serving(moment: str) -> None:
    walk = scenes.plain().until(lambda walk: moment in (walk.step, walk.gate))
    walk.cluster.faulty = True
    del walk.cluster.deployments["hello"]
    for _ in range(5):
        walk.tick()
    assert walk.release.phase is Phase.DRIFTED
    assert "hello-green" in walk.cluster.deployments
    if moment != "drain":  # there the Service had gone back to blue already
        assert len(walk.cluster.selected("hello")) == 3


def test_abort_after_blue_was_deleted_keeps_green_serving() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.cluster.faulty = True
    del walk.cluster.deployments["hello"]
    walk.tick()
    walk.abort()
    walk.to_the_end()
    assert len(walk.cluster.selected("hello")) == 3, "the only pods that serve were taken away"
    assert "hello-green stays: nothing else serves; hello itself was deleted" in walk.told[-1]
    assert (
        walk.cluster.deployments["hello-green"].annotations.get("pilothouse.dev/release", "") == ""
    )


@pytest.mark.parametrize("after", quick(range(1, 12), at_most=4))
def test_blue_deleted_during_a_rollback_leaves_green_serving(after: int) -> None:
    walk = scenes.plain().to_step("settle")
    for _ in range(3):
        walk.tick()
    walk.abort()
    for _ in range(after):
        walk.tick()
    walk.cluster.faulty = True
    del walk.cluster.deployments["hello"]
    serves = bool(walk.cluster.selected("hello"))
    walk.to_the_end()
    assert bool(walk.cluster.selected("hello")) == serves


def test_an_early_manual_switch_is_reported_and_kept_only_on_request() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    walk.cluster.faulty = True
    walk.cluster.select("hello", ON_GREEN)
    walk.tick()
    assert phase_of(walk) is Phase.DRIFTED
    walk.ask(Adopt(DEVELOPER))
    walk.to_the_end()
    assert walk.cluster.services["hello"].selector == ON_GREEN
    assert len(walk.cluster.selected("hello")) == 3, (
        "what somebody sends people to is not taken away"
    )


def test_a_service_kept_on_green_does_not_block_the_other() -> None:
    walk = scenes.two_services().to_step("switch", gate="window")
    walk.cluster.select("hello-internal", {"app": "hello-green"})
    walk.tick()
    assert phase_of(walk) is Phase.DRIFTED
    walk.ask(Adopt(DEVELOPER))
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED
    assert walk.cluster.services["hello"].selector == ON_BLUE
    assert len(walk.cluster.selected("hello-internal")) == 3, (
        "what somebody sends people to is not taken away"
    )


def test_leaves_a_foreign_green_created_after_the_plan_alone() -> None:
    walk = scenes.plain()
    walk.tick()
    walk.cluster.deployments["hello-green"] = scenes.a_blue(
        {"app": "other"}, name="hello-green", version="7.0.0"
    )
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED
    assert walk.release.cause is not None
    assert walk.release.cause.failure is FailureClass.DRIFT
    assert (
        walk.cluster.deployments["hello-green"]
        .template["spec"]["containers"][0]["image"]
        .endswith(":7.0.0")
    )
    assert (
        walk.cluster.deployments["hello-green"].annotations.get("pilothouse.dev/release", "") == ""
    )


def test_force_reports_that_it_leaves_the_cluster_alone() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    found = walk.cluster.state()
    answer = respond(walk.release, Abort(MANAGER, force=True), walk.now)
    assert answer.release.phase is Phase.ABORTED
    assert "left as it is" in answer.events[-1].text
    assert decide(answer.release, walk.look(), walk.now).actions == ()
    assert walk.cluster.state() == found


def test_a_template_that_admission_changed_on_the_way_back_is_not_written_again() -> None:
    walk = scenes.plain()
    walk.cluster.webhook = pin
    walk.to_step("settle")
    hello = walk.cluster.deployments["hello"]
    walk.until(lambda walk: "2.0.0" in str(hello.template))
    walk.abort()
    walk.until(lambda walk: "1.0.0" in str(hello.template))
    hello.paused, hello.generation = True, hello.generation + 1
    walk.until(lambda walk: walk.release.phase is Phase.DRIFTED)
    walk.ask(Adopt(DEVELOPER))
    written = len(walk.written)
    walk.to_the_end()
    assert "1.0.0@" in str(hello.template)
    rolled = [one for one in walk.written[written:] if "template" in described(one)]
    assert not rolled
