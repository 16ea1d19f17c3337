"""Which changes wake a release at once, and which only move its card."""

from __future__ import annotations

from typing import Any

import pytest

from bot.cluster.urgency import Urgency

Json = dict[str, Any]


def deployment(
    *,
    generation: int = 1,
    observed: int = 1,
    replicas: int = 2,
    pods: int = 2,
    updated: int = 2,
    available: int = 2,
    conditions: tuple[tuple[str, str, str], ...] = (),
) -> Json:
    return {
        "metadata": {"name": "hello", "uid": "uid-hello", "generation": generation},
        "spec": {"replicas": replicas},
        "status": {
            "observedGeneration": observed,
            "replicas": pods,
            "updatedReplicas": updated,
            "availableReplicas": available,
            "conditions": [
                {"type": kind, "status": status, "reason": reason}
                for kind, status, reason in conditions
            ],
        },
    }


def pod(
    name: str = "hello-1",
    *,
    ready: bool = False,
    waiting: str = "",
    restarts: int = 0,
    leaving: bool = False,
) -> Json:
    leaves = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", **leaves},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "hello", "restartCount": restarts, "state": state}],
        },
    }


def endpoints(**ready: bool) -> Json:
    return {
        "metadata": {"name": "hello-x", "uid": "uid-slice"},
        "endpoints": [
            {
                "addresses": [name],
                "conditions": {"ready": is_ready},
                "targetRef": {"uid": f"uid-{name.replace('_', '-')}"},
            }
            for name, is_ready in ready.items()
        ],
    }


def urgent(resource: str, *items: Json, urgency: Urgency | None = None) -> list[bool]:
    known = urgency or Urgency()
    return [known.is_urgent(resource, item, deployment="hello", deleted=False) for item in items]


def test_the_end_of_a_roll_is_urgent_and_its_waves_are_not() -> None:
    assert urgent(
        "deployments",
        deployment(),
        deployment(generation=2, replicas=3),
        deployment(generation=2, observed=2, replicas=3, pods=3, updated=3),
        deployment(generation=2, observed=2, replicas=3, pods=3, updated=3, available=3),
    ) == [False, False, False, True]


def test_a_change_of_annotations_alone_is_not_urgent() -> None:
    assert urgent(
        "deployments",
        deployment(),
        deployment(generation=2),
        deployment(generation=2, observed=2),
    ) == [False, False, False]


def test_fewer_pods_are_complete_once_the_controller_has_seen_the_number() -> None:
    assert urgent(
        "deployments",
        deployment(),
        deployment(generation=2, replicas=1),
        deployment(generation=2, observed=2, replicas=1, pods=1, updated=1, available=1),
    ) == [False, False, True]


def test_a_candidate_without_pods_has_nothing_to_report() -> None:
    made = deployment(observed=0, replicas=0, pods=0, updated=0, available=0)
    observed = deployment(observed=1, replicas=0, pods=0, updated=0, available=0)
    assert urgent("deployments", made, observed) == [False, False]


@pytest.mark.parametrize(
    "worse",
    [
        deployment(available=1),
        deployment(conditions=(("ReplicaFailure", "True", "FailedCreate"),)),
        deployment(conditions=(("Progressing", "False", "ProgressDeadlineExceeded"),)),
    ],
)
def test_a_deployment_that_gets_worse_is_urgent(worse: Json) -> None:
    assert urgent("deployments", deployment(), worse) == [False, True]


def test_a_pod_on_its_way_up_is_not_urgent() -> None:
    assert urgent("pods", pod(waiting="ContainerCreating"), pod(), pod(ready=True)) == [
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "worse", [pod(waiting="ImagePullBackOff"), pod(restarts=1), pod(ready=False)]
)
def test_a_pod_that_gets_worse_is_urgent(worse: Json) -> None:
    assert urgent("pods", pod(ready=True), worse) == [False, True]


def test_only_the_last_pod_that_leaves_is_urgent() -> None:
    assert urgent(
        "pods",
        pod("hello-1", ready=True),
        pod("hello-2", ready=True),
        pod("hello-1", ready=True, leaving=True),
        pod("hello-2", ready=True, leaving=True),
        pod("hello-2", leaving=True),
    ) == [False, False, False, True, False]


def test_endpoints_are_urgent_once_their_deployment_is_complete() -> None:
    urgency = Urgency()
    urgent("pods", pod("hello-1", ready=True), pod("hello-2", ready=True), urgency=urgency)
    urgent("deployments", deployment(available=1), urgency=urgency)
    changes = [
        endpoints(hello_1=True, hello_2=False),
        endpoints(hello_1=False, hello_2=True),
    ]
    assert urgent("endpointslices", *changes, urgency=urgency) == [True, False]
    urgent("deployments", deployment(), urgency=urgency)
    whole = endpoints(hello_1=True, hello_2=True)
    assert urgent("endpointslices", whole, whole, urgency=urgency) == [True, False]


def test_a_service_without_a_ready_endpoint_is_urgent() -> None:
    urgency = Urgency()
    urgent("deployments", deployment(available=0), urgency=urgency)
    changes = [endpoints(hello_1=True), endpoints(hello_1=False), endpoints(hello_1=True)]
    assert urgent("endpointslices", *changes, urgency=urgency) == [True, True, True]
