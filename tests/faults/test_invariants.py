"""What judges the fault runs is itself shown histories that are wrong, and must say so."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from bot.releases.model import Phase
from tests.builders import T0, a_release
from tests.faults.invariants import otherwise_than_found, started_twice, times_without_ready_pods
from tests.faults.trail import CLAIM

Json = dict[str, Any]


def slice_write(number: int, *ready: bool) -> Json:
    item = {"metadata": {"labels": {"kubernetes.io/service-name": "hello"}}, "endpoints": [{"conditions": {"ready": one}} for one in ready]}
    return {
        "number": number, "time": 1.0, "verb": "update", "resource": "endpointslices.discovery.k8s.io", "name": "hello-1", "object": item,
    }  # fmt: skip


def deployment_write(image: str, *, claim: str = "", replicas: int = 3) -> Json:
    spec = {"replicas": replicas, "template": {"metadata": {}, "spec": {"containers": [{"name": "hello", "image": image}]}}}
    item = {"metadata": {"annotations": {CLAIM: claim} if claim else {}}, "spec": spec, "status": {"availableReplicas": 3}}
    return {"resource": "deployments.apps", "name": "hello", "object": item}


def test_a_service_that_always_had_a_ready_pod_is_well() -> None:
    assert list(times_without_ready_pods(["hello"], [slice_write(1), slice_write(2, True), slice_write(3, False, True)])) == []


def test_a_moment_without_a_ready_pod_is_found_though_it_passed() -> None:
    history = [slice_write(1, True), slice_write(2, False), slice_write(3, True)]
    assert [line.partition(" at ")[0] for line in times_without_ready_pods(["hello"], history)] == ["Service hello selected no ready pod"]


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
    assert list(otherwise_than_found(release, copy.deepcopy([*there, deployment_write("hello:2")]))) == []
    assert len(list(otherwise_than_found(release, [*there, deployment_write("hello:2", replicas=4)]))) == 1


def test_the_same_command_twice_at_once_is_found_and_one_after_the_other_is_not() -> None:
    first = a_release(phase=Phase.SUCCEEDED, created_at=T0, finished_at=T0 + 10)
    assert list(started_twice((first, replace(first, id="hello-43", created_at=T0 + 11, finished_at=T0 + 20)))) == []
    assert len(list(started_twice((first, replace(first, id="hello-43", created_at=T0 + 9, finished_at=T0 + 20))))) == 1
