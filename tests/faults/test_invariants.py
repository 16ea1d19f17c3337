"""The checks of the fault runs are given wrong histories, and must report them."""

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


def test_a_service_that_always_had_a_ready_pod_passes() -> None:
    assert (
        list(
            times_without_ready_pods(
                ["hello"], [slice_write(1), slice_write(2, True), slice_write(3, False, True)]
            )
        )
        == []
    )


def test_finds_a_past_moment_without_a_ready_pod() -> None:
    history = [slice_write(1, True), slice_write(2, False), slice_write(3, True)]
    assert [line.partition(" at ")[0] for line in times_without_ready_pods(["hello"], history)] == [
        "Service hello selected no ready pod"
    ]


def test_a_deleted_slice_serves_nobody() -> None:
    history = [
        slice_write(1, True),
        {**slice_write(2, True), "verb": "delete"},
        slice_write(3, True),
    ]
    assert len(list(times_without_ready_pods(["hello"], history))) == 1


def test_a_service_without_history_does_not_pass() -> None:
    assert list(times_without_ready_pods(["hello"], [])) != []


def test_finds_an_aborted_release_that_left_its_image() -> None:
    release = a_release(phase=Phase.ABORTED)
    there = [deployment_write("hello:1"), deployment_write("hello:2", claim=release.id)]
    assert list(otherwise_than_found(release, [*there, deployment_write("hello:1")])) == []
    assert len(list(otherwise_than_found(release, [*there, deployment_write("hello:2")]))) == 1


def test_a_succeeded_release_may_change_only_the_image() -> None:
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


def test_finds_a_doubled_command_but_not_a_later_repeat() -> None:
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


def test_finds_stable_below_its_floor_even_if_it_recovered() -> None:
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


def test_pods_missing_before_the_release_are_not_its_fault() -> None:
    release = a_release(
        phase=Phase.SUCCEEDED, plan=Plan("hello:2", "2", "hello:1", "1", (), (), floor=2)
    )
    history = [
        deployment_write("hello:1", available=0),
        deployment_write("hello:2", claim=release.id),
        deployment_write("hello:2"),
    ]
    assert list(otherwise_than_found(release, history)) == []


def test_finds_an_undelivered_message() -> None:
    waiting = Announcement(1, Event(T0, EventKind.FINISHED, "hello is on 2.0.0"))
    assert unsent("hello-42", (), dirty=False) == []
    assert unsent("hello-42", (waiting,), dirty=False) == ["hello-42: 1 announcements unsent"]
    assert unsent("hello-42", (), dirty=True) == [
        "hello-42: 0 announcements unsent, card out of date"
    ]


def test_finds_an_accepted_command_without_a_record() -> None:
    accepted = [Accepted("/deploy hello 2.0.0", "hello-42")]
    assert without_a_record(accepted, [a_release(id="hello-42")]) == []
    assert len(without_a_record(accepted, [a_release(id="hello-41")])) == 1


def test_finds_a_release_that_never_ended() -> None:
    assert unfinished([a_release(phase=phase) for phase in Phase if phase.is_final]) == []
    assert len(
        unfinished([a_release(phase=phase) for phase in Phase if not phase.is_final])
    ) == sum(not phase.is_final for phase in Phase)


@pytest.mark.parametrize("kind", ["lost", "doubled", "stuck", "violations"])
def test_a_single_violation_fails_the_run(kind: str) -> None:
    assert Verdict(releases=3).is_clean
    verdict = Verdict(releases=3)
    getattr(verdict, kind).append("a case")
    assert not verdict.is_clean
