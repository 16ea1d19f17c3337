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

ON_GREEN, ON_BLUE = {"app": "hello-green"}, {"app": "hello"}
SCENES = (scenes.plain, scenes.by_version_label, scenes.with_preview, scenes.kept)


# --- held -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", SCENES)
def test_paused_at_any_moment_nothing_is_written_and_resumed_it_ends_as_if_it_never_was(
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


@pytest.mark.parametrize("scene", SCENES)
def test_aborted_while_paused_everything_is_as_found(scene: Callable[[], Walk]) -> None:
    for walk in scene().moments():
        if respond(walk.release, Pause(DEVELOPER), walk.now).refusal:
            continue
        walk.approves = False
        walk.ask(Pause(DEVELOPER))
        walk.tick()
        walk.abort()
        walk.to_the_end()
        assert walk.cluster.state() == walk.before, walk.release.phase


@pytest.mark.parametrize("scene", SCENES)
def test_a_cluster_out_of_reach_at_any_moment_is_waited_for_and_nothing_is_lost(
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


def test_a_selector_edited_between_the_look_and_the_patch_is_not_written_over() -> None:
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


def test_the_autoscaler_grows_blue_between_the_approval_and_the_switch() -> None:
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


def test_a_roll_back_to_a_blue_that_the_autoscaler_shrank_meanwhile_is_as_quick_as_any() -> None:
    """Fewer pods than the floor that was planned: they are all that blue has, and people asked to
    go back to it."""
    walk = scenes.with_autoscaler().to_step("switch", gate="window")
    walk.cluster.faulty = True  # it is the autoscaler that takes pods away
    walk.cluster.deployments["hello"].replicas = 1
    walk.cluster.beat()
    walk.abort()
    walk.tick()
    walk.tick()
    assert walk.cluster.services["hello"].selector == ON_BLUE
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert "hello-green" not in walk.cluster.deployments


def test_a_person_who_scales_blue_while_green_waits_and_keeps_that_gets_a_green_of_that_size() -> (
    None
):
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


def test_a_green_pod_that_dies_right_before_the_switch_is_waited_for() -> None:
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
def test_a_green_of_which_nothing_is_left_gives_back_to_a_blue_that_stands_paused_or_not(
    moment: str, held: bool
) -> None:
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


def test_where_blue_could_not_serve_either_nothing_is_gained_by_going_back() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    for pod in walk.cluster.deployments["hello"].pods():
        pod.ready = False
    _robbed(walk)
    decision = decide(walk.release, walk.look(), walk.now)
    assert decision.actions == ()
    assert decision.release.rollback is None


def test_before_the_switch_a_green_that_is_not_ready_is_only_waited_for() -> None:
    walk = scenes.plain()
    walk.approves = False
    walk.to_step("green", gate="switch")
    _robbed(walk)
    walk.tick()
    assert walk.release.phase is Phase.AWAITING_PROMOTION


# --- two at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("late_ms", [-1, 0, 1, 5_000])
def test_a_roll_back_that_arrives_as_the_window_ends_is_carried_out_whichever_comes_first(
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


def test_finish_now_after_a_roll_back_changes_nothing() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.now += 35 * SECOND
    walk.abort()
    assert respond(walk.release, Finish(MANAGER), walk.now).refusal
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK


def test_a_roll_back_after_finish_now_still_goes_back() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.now += 35 * SECOND
    walk.ask(Finish(MANAGER))
    walk.abort()
    walk.to_the_end()
    assert walk.cluster.state() == walk.before


# --- meddled with ---------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["green", "window", "settle", "drain"])
def test_a_service_that_is_deleted_is_told_and_an_abort_takes_back_the_rest(moment: str) -> None:
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
def test_blue_that_is_deleted_after_the_switch_is_told_and_green_serves_on(moment: str) -> None:
    walk = scenes.plain().until(lambda walk: moment in (walk.step, walk.gate))
    walk.cluster.faulty = True
    del walk.cluster.deployments["hello"]
    for _ in range(5):
        walk.tick()
    assert walk.release.phase is Phase.DRIFTED
    assert "hello-green" in walk.cluster.deployments
    if moment != "drain":  # there the Service had gone back to blue already
        assert len(walk.cluster.selected("hello")) == 3


def test_an_abort_after_blue_was_deleted_does_not_wait_for_it_and_keeps_green_serving() -> None:
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


@pytest.mark.parametrize("after", range(1, 12))
def test_blue_that_is_deleted_while_it_is_gone_back_to_leaves_whoever_serves(after: int) -> None:
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


def test_a_service_switched_early_by_hand_is_told_and_kept_only_when_somebody_says_so() -> None:
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


def test_of_two_services_one_that_somebody_keeps_on_green_does_not_hold_up_the_other() -> None:
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


def test_a_foreign_green_made_between_the_plan_and_the_first_write_is_left_alone() -> None:
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


def test_force_leaves_the_cluster_as_it_is_and_says_so() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    found = walk.cluster.state()
    answer = respond(walk.release, Abort(MANAGER, force=True), walk.now)
    assert answer.release.phase is Phase.ABORTED
    assert "left as it is" in answer.events[-1].text
    assert decide(answer.release, walk.look(), walk.now).actions == ()
    assert walk.cluster.state() == found
