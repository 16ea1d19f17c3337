"""Whole blue/green releases, every point of abort, every crash. The walk and the cluster check at
each moment that nobody reaches green before the switch, that no Service is ever without a ready
pod, and that stable never falls below the plan's floor.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bot.releases.facts.actions import CreateDeployment, CreateService
from bot.releases.facts.release import Phase
from tests.transitions.bluegreen.modelled_cluster import Refused
from tests.transitions.bluegreen.scenes import SCENES, SETTLING
from tests.transitions.bluegreen.walk import Walk
from tests.variations import quick


def as_found_but_for_the_version(
    before: dict[str, Any], *, label: str | None, selected_by: bool
) -> dict[str, Any]:
    wanted = copy.deepcopy(before)
    template = wanted["deployments"]["hello"]["template"]
    template["spec"]["containers"][0]["image"] = template["spec"]["containers"][0]["image"].replace(
        "1.0.0", "2.0.0"
    )
    if label:
        template["metadata"]["labels"][label] = "2.0.0"
    if label and selected_by:
        for name, (uid, selector, affinity) in wanted["services"].items():
            if label in selector:
                wanted["services"][name] = (uid, {**selector, label: "2.0.0"}, affinity)
    return wanted


def without_cause(state: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(state)
    for item in result["deployments"].values():
        item["annotations"].pop("kubernetes.io/change-cause", None)
    return result


@pytest.mark.parametrize("name", SETTLING)
def test_success_changes_nothing_but_the_version(name: str) -> None:
    walk = SCENES[name]().to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    label = walk.release.target.version_label
    assert without_cause(walk.cluster.state()) == without_cause(
        as_found_but_for_the_version(walk.before, label=label, selected_by=True)
    )
    for service in walk.release.target.services:
        assert (
            len(walk.cluster.selected(service)) == walk.before["deployments"]["hello"]["replicas"]
        )


@pytest.mark.parametrize("name", quick(SCENES, at_most=3))
def test_an_abort_at_any_moment_leaves_everything_as_found(name: str) -> None:
    for walk in SCENES[name]().moments():
        where = f"{name}: tick {walk.ticks}, step {walk.step} {walk.gate}"
        walk.abort()
        walk.to_the_end()
        assert walk.release.phase in (Phase.ABORTED, Phase.ROLLED_BACK), where
        found, before = walk.cluster.state(), copy.deepcopy(walk.before)
        if (
            "hand_made_pair" in name and "kept" not in name
        ):  # where it was removed already it is made again
            found["deployments"]["hello-green"].pop("uid")
            before["deployments"]["hello-green"].pop("uid")
        assert found == before, where


@pytest.mark.parametrize("name", quick(SCENES, at_most=3))
def test_next_tick_finishes_after_a_crash_between_any_two_writes(name: str) -> None:
    whole = SCENES[name]().to_the_end()
    for walk in SCENES[name]().moments():
        walk.tick(crash_after=0)  # saved, nothing written
        walk.to_the_end()
        assert walk.release.phase is Phase.SUCCEEDED
        assert walk.cluster.state() == whole.cluster.state() or _same_but_uids(walk, whole)


def _same_but_uids(one: Walk, other: Walk) -> bool:
    left, right = one.cluster.state(), other.cluster.state()
    for state in (left, right):
        for item in state["deployments"].values():
            item.pop("uid")
    return left == right


@pytest.mark.parametrize("name", quick(SCENES, at_most=3))
def test_next_tick_finishes_a_rollback_after_a_crash_at_any_write(name: str) -> None:
    aborted = SCENES[name]().to_step("switch", gate="window")
    aborted.abort()
    for walk in aborted.moments():
        walk.tick(crash_after=0)
        walk.to_the_end()
        assert walk.release.phase is Phase.ROLLED_BACK
        assert walk.cluster.state() == walk.before


@pytest.mark.parametrize("name", quick(SCENES, at_most=3))
def test_a_stalled_workers_late_write_changes_nothing(name: str) -> None:
    walk = SCENES[name]()
    while not walk.release.phase.is_final:
        seen = len(walk.written)
        walk.tick()
        if walk.step == "finish":
            break  # nothing is claimed any more
        for action in walk.written[:seen]:
            if isinstance(action, CreateDeployment | CreateService):
                # safe in another way: what it would create is inert, and nobody is sent there
                continue
            before = walk.cluster.state()
            try:
                walk.cluster.apply(action)
            except Refused:
                continue
            assert walk.cluster.state() == before, action
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED
