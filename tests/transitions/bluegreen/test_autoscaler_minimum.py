"""Where the catalog lets a release raise an autoscaler's minReplicas, the raise of blue stays, and
the minimum ends as found whatever happens in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.engine.minimum import KEPT_MS, leave_minimum
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import PatchAutoscaler
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort
from tests.builders import DEVELOPER
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.autoscaled import Autoscaled, raises
from tests.transitions.bluegreen.walk import Walk

RAISED = {"pilothouse.dev/release": "hello-42", "pilothouse.dev/min-replicas": "2"}


def a_fighting_autoscaler() -> Autoscaled:
    return Autoscaled(fights=True, may_raise_minimum=True)


def minimum_patches(walk: Walk) -> list[PatchAutoscaler]:
    return [one for one in walk.written if isinstance(one, PatchAutoscaler)]


def moments_of(walk: Walk) -> list[Walk]:
    """Around each write: where the release wrote, and right after."""
    moments = list(walk.to_step("hand back").moments())
    counts = [len(one.written) for one in (*moments, walk)]
    writes = {at for at in range(len(moments)) if counts[at] != counts[at + 1]}
    return [moments[at] for at in sorted(writes | {at + 1 for at in writes}) if at < len(moments)]


def is_as_found(walk: Walk) -> bool:
    return bool(walk.cluster.state()["autoscalers"] == walk.before["autoscalers"])


def test_the_minimum_is_raised_before_blue_and_restored_at_the_end() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window()
    walk.until(lambda walk: bool(raises(walk)))
    assert scaled.least() == 20
    assert walk.cluster.autoscalers["hello-hpa"].annotations == RAISED
    kinds = [one.kind for one in walk.written]
    assert kinds.index("patch_autoscaler") < len(kinds) - 1
    scaled.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert raises(walk) == [20] and len(minimum_patches(walk)) == 2
    assert is_as_found(walk) and walk.release.minimum is None
    assert not any("took hello back" in text for text in walk.told)


def test_the_minimum_is_kept_until_the_autoscaler_can_observe_the_load() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window().to_step("finish")
    began_at = walk.release.progress.began_at
    assert walk.release.progress.waits_for.startswith(
        "HorizontalPodAutoscaler hello-hpa keeps at least 20 pods for 2 min"
    )
    walk.until(lambda walk: scaled.least() == 2)
    assert walk.now - began_at >= KEPT_MS


def test_without_the_catalogs_key_an_autoscaler_is_never_written() -> None:
    scaled = Autoscaled()
    scaled.to_the_window()
    assert minimum_patches(scaled.to_the_end()) == []


def test_a_rollback_raises_the_minimum_and_restores_it() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window()
    walk.abort()
    scaled.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert len(walk.cluster.selected("hello")) == 20 and is_as_found(walk)


def test_a_rollback_of_a_failing_green_raises_the_minimum_behind_it() -> None:
    walk = a_fighting_autoscaler().to_the_window()
    walk.cluster.deployments["hello-green"].pods()[0].ready = False
    walk.cluster.broken_images.add("kelseyhightower/hello:2.0.0")
    walk.abort()
    walk.to_the_end()
    assert raises(walk) == [19] and len(minimum_patches(walk)) == 2
    assert is_as_found(walk)


def test_the_minimum_is_as_found_after_an_abort_at_every_moment() -> None:
    walk = a_fighting_autoscaler().to_the_window()
    for moment in moments_of(walk):
        moment.ticks = 0
        if moment.release.rollback is None:
            moment.abort()
        moment.to_the_end()
        assert is_as_found(moment), moment.told


@pytest.mark.parametrize("carried_out", [0, 1])
def test_the_minimum_is_as_found_after_a_crash_at_every_write(carried_out: int) -> None:
    walk = a_fighting_autoscaler().to_the_window()
    for moment in moments_of(walk):
        moment.ticks = 0
        moment.tick(crash_after=carried_out)
        moment.to_the_end()
        assert moment.release.phase is Phase.SUCCEEDED
        assert is_as_found(moment), moment.told


def test_a_record_that_lost_the_raise_finds_it_in_the_claim() -> None:
    walk = a_fighting_autoscaler().to_the_window().to_step("hand back")
    walk.tick()
    assert walk.release.minimum is not None
    walk.release = replace(walk.release, minimum=None)
    walk.to_the_end()
    assert is_as_found(walk)


def test_a_minimum_that_something_else_changed_is_left_and_named() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window()
    walk.until(lambda walk: scaled.least() == 20)
    scaled.ticks(3)
    theirs = replace(
        walk.cluster.autoscalers["hello-hpa"],
        min_replicas=5,
        managers=(("kubectl-edit", "Update", "", "spec.minReplicas"),),
    )
    walk.cluster.autoscalers["hello-hpa"] = theirs
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    left = walk.cluster.autoscalers["hello-hpa"]
    assert (left.min_replicas, left.annotations) == (5, {})
    told = [text for text in walk.told if "minReplicas of" in text]
    assert told == [
        "minReplicas of HorizontalPodAutoscaler hello-hpa is 5, by kubectl-edit: it is left so"
    ]


def test_another_installations_claim_on_an_autoscaler_is_not_touched() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window()
    theirs = {"pilothouse.dev/release": "hello-7", "pilothouse.dev/min-replicas": "1"}
    hpa = walk.cluster.autoscalers["hello-hpa"]
    walk.cluster.autoscalers["hello-hpa"] = replace(hpa, annotations=theirs)
    walk.to_step("hand back")
    scaled.ticks(12)
    assert minimum_patches(walk) == []
    assert any("took hello back to 2 pods" in text for text in walk.told)


def test_a_refused_raise_of_the_minimum_leaves_the_decision_to_a_person() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window()
    walk.until(lambda walk: walk.release.minimum is not None)
    walk.cluster.autoscalers["hello-hpa"] = replace(
        walk.cluster.autoscalers["hello-hpa"], min_replicas=2, annotations={}
    )
    answer = leave_minimum(walk.release, "may not patch horizontalpodautoscalers", walk.now)
    walk.release = answer.release
    assert "cannot be changed: may not patch" in answer.events[0].text
    scaled.ticks(12)
    assert len(minimum_patches(walk)) == 1
    assert any("took hello back to 2 pods" in text for text in walk.told)


def test_a_lower_maximum_bounds_the_raise() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window()
    hpa = walk.cluster.autoscalers["hello-hpa"]
    walk.cluster.autoscalers["hello-hpa"] = replace(hpa, max_replicas=10)
    walk.to_step("hand back")
    scaled.ticks(3)
    assert scaled.least() == 10


def test_an_end_by_force_says_what_it_leaves_and_the_next_release_restores_it() -> None:
    scaled = a_fighting_autoscaler()
    walk = scaled.to_the_window()
    walk.until(lambda walk: scaled.least() == 20)
    forced = respond(walk.release, Abort(DEVELOPER, force=True), walk.now)
    left = "HorizontalPodAutoscaler hello-hpa was left with minReplicas 20, 2 as found"
    assert left in forced.events[-1].text
    walk.cluster.deployments.pop("hello-green")
    walk.cluster.select("hello", {"app": "hello"})
    for _ in range(20):
        walk.cluster.beat()
    following = scenes.a_release_of(version="3.0.0")
    walk.release = replace(
        following,
        id="hello-43",
        rules=walk.release.rules,
        stale_claim="hello-42",
        stale_autoscaler_claim="hello-42",
    )
    walk.ticks = 0
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert is_as_found(walk)
