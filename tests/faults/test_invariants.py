"""What judges the fault runs is itself shown histories that are wrong, and must say so."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from bot.ports import Announcement
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.plan import Plan
from bot.releases.facts.release import Phase
from tests.builders import T0, a_release
from tests.faults.invariants import (
    Verdict,
    otherwise_than_found,
    started_twice,
    times_without_ready_pods,
    unfinished,
    unsent,
    without_a_record,
)
from tests.faults.people import Accepted
from tests.faults.trail import CLAIM

Json = dict[str, Any]


def slice_write(number: int, *ready: bool) -> Json:
    item = {
        "metadata": {"labels": {"kubernetes.io/service-name": "hello"}},
        "endpoints": [{"conditions": {"ready": one}} for one in ready],
    }
    return {
        "number": number,
        "time": 1.0,
        "verb": "update",
        "resource": "endpointslices.discovery.k8s.io",
        "name": "hello-1",
        "object": item,
    }


def deployment_write(image: str, *, claim: str = "", replicas: int = 3, available: int = 3) -> Json:
    spec = {
        "replicas": replicas,
        "template": {"metadata": {}, "spec": {"containers": [{"name": "hello", "image": image}]}},
    }
    item = {
        "metadata": {"annotations": {CLAIM: claim} if claim else {}},
        "spec": spec,
        "status": {"availableReplicas": available},
    }
    return {"resource": "deployments.apps", "name": "hello", "object": item}


def test_a_service_that_always_had_a_ready_pod_is_well() -> None:
    assert (
        list(
            times_without_ready_pods(
                ["hello"], [slice_write(1), slice_write(2, True), slice_write(3, False, True)]
            )
        )
        == []
    )


def test_a_moment_without_a_ready_pod_is_found_though_it_passed() -> None:
    history = [slice_write(1, True), slice_write(2, False), slice_write(3, True)]
    assert [line.partition(" at ")[0] for line in times_without_ready_pods(["hello"], history)] == [
        "Service hello selected no ready pod"
    ]


def test_a_slice_that_was_deleted_serves_nobody() -> None:
    history = [
        slice_write(1, True),
        {**slice_write(2, True), "verb": "delete"},
        slice_write(3, True),
    ]
    assert len(list(times_without_ready_pods(["hello"], history))) == 1


def test_a_service_that_nobody_wrote_about_is_not_taken_for_well() -> None:
    assert list(times_without_ready_pods(["hello"], [])) != []


def test_an_aborted_release_that_left_its_image_is_found() -> None:
    release = a_release(phase=Phase.ABORTED)
    there = [deployment_write("hello:1"), deployment_write("hello:2", claim=release.id)]
    assert list(otherwise_than_found(release, [*there, deployment_write("hello:1")])) == []
    assert len(list(otherwise_than_found(release, [*there, deployment_write("hello:2")]))) == 1


def test_a_release_that_succeeded_may_change_the_image_and_nothing_else() -> None:
    release = a_release(phase=Phase.SUCCEEDED)
    there = [deployment_write("hello:1"), deployment_write("hello:2", claim=release.id)]
    assert (
        list(otherwise_than_found(release, copy.deepcopy([*there, deployment_write("hello:2")])))
        == []
    )
    assert (
        len(list(otherwise_than_found(release, [*there, deployment_write("hello:2", replicas=4)])))
        == 1
    )


def test_the_same_command_twice_at_once_is_found_and_one_after_the_other_is_not() -> None:
    first = a_release(phase=Phase.SUCCEEDED, created_at=T0, finished_at=T0 + 10)
    assert (
        list(
            started_twice(
                (first, replace(first, id="hello-43", created_at=T0 + 11, finished_at=T0 + 20))
            )
        )
        == []
    )
    assert (
        len(
            list(
                started_twice(
                    (first, replace(first, id="hello-43", created_at=T0 + 9, finished_at=T0 + 20))
                )
            )
        )
        == 1
    )


def test_fewer_pods_of_stable_than_the_plan_promised_are_found_though_they_came_back() -> None:
    plan = Plan("hello:2", "2", "hello:1", "1", (), (), floor=2)
    release = a_release(phase=Phase.SUCCEEDED, plan=plan)
    there = deployment_write("hello:1")
    after = deployment_write("hello:2")

    def history(available: int) -> list[Json]:
        rolling, rolled = (
            deployment_write("hello:2", claim=release.id, available=count)
            for count in (available, 3)
        )
        return [there, rolling, rolled, after]

    assert list(otherwise_than_found(release, history(2))) == []
    assert list(otherwise_than_found(release, history(1))) == [
        f"{release.id}: 1 pods of stable available, the plan promised 2"
    ]


def test_pods_that_were_missing_before_the_release_began_are_not_its_doing() -> None:
    release = a_release(
        phase=Phase.SUCCEEDED, plan=Plan("hello:2", "2", "hello:1", "1", (), (), floor=2)
    )
    history = [
        deployment_write("hello:1", available=0),
        deployment_write("hello:2", claim=release.id),
        deployment_write("hello:2"),
    ]
    assert list(otherwise_than_found(release, history)) == []


def test_what_is_still_to_be_told_is_found() -> None:
    waiting = Announcement(1, Event(T0, EventKind.FINISHED, "hello is on 2.0.0"))
    assert unsent("hello-42", (), dirty=False) == []
    assert unsent("hello-42", (waiting,), dirty=False) == ["hello-42: 1 announcements untold"]
    assert unsent("hello-42", (), dirty=True) == [
        "hello-42: 0 announcements untold, card out of date"
    ]


def test_a_command_that_was_accepted_and_left_no_record_is_found() -> None:
    accepted = [Accepted("/deploy hello 2.0.0", "hello-42")]
    assert without_a_record(accepted, [a_release(id="hello-42")]) == []
    assert len(without_a_record(accepted, [a_release(id="hello-41")])) == 1


def test_a_release_that_has_no_end_is_found() -> None:
    assert unfinished([a_release(phase=phase) for phase in Phase if phase.is_final]) == []
    assert len(
        unfinished([a_release(phase=phase) for phase in Phase if not phase.is_final])
    ) == sum(not phase.is_final for phase in Phase)


@pytest.mark.parametrize("kind", ["lost", "doubled", "stuck", "violations"])
def test_one_case_of_any_kind_is_enough_for_a_run_to_fail(kind: str) -> None:
    assert Verdict(releases=3).is_clean
    verdict = Verdict(releases=3)
    getattr(verdict, kind).append("a case")
    assert not verdict.is_clean
