"""The arithmetic of rolling updates: surge, unavailability, scaling a half-rolled Deployment."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.contracts.cluster_api.server import MERGE, Json, Namespace, deployment, wait_for


def rolling(surge: Any, unavailable: Any) -> Json:
    return {
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
        }
    }


def pods_of(value: Any, total: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * total / 100
    return math.ceil(share) if up else math.floor(share)


def wait_sizes(namespace: Namespace, *sizes: int) -> list[Json]:
    """Waits until the ReplicaSets, by revision, want so many replicas each and the controllers have
    caught up."""
    seen: list[list[int]] = []

    def probe() -> list[Json] | None:
        found = namespace.read("deployments", "hello")
        sets = namespace.owned_sets(found)
        seen[:] = [[item["spec"]["replicas"] for item in sets]]
        settled = all(
            item["status"].get("replicas", 0) == item["spec"]["replicas"]
            and item["status"].get("observedGeneration", 0) == item["metadata"]["generation"]
            for item in sets
        )
        observed = found["status"].get("observedGeneration") == found["metadata"]["generation"]
        return sets if settled and observed and seen[0] == list(sizes) else None

    try:
        return wait_for(probe, f"sizes {sizes}", seconds=15)
    except AssertionError as error:
        raise AssertionError(f"{error}; found {seen}") from None


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable"),
    [
        (4, "25%", "25%"),
        (5, 1, 0),
        (5, 0, 1),
        (3, "100%", 0),
        (2, "1%", "1%"),
        (10, 3, 2),
        (1, "25%", "25%"),
        (3, 0, "1%"),
    ],
)
def test_a_roll_keeps_within_surge_and_unavailability(
    namespace: Namespace, replicas: int, surge: Any, unavailable: Any
) -> None:
    namespace.made("deployments", deployment(replicas=replicas, **rolling(surge, unavailable)))
    made = namespace.wait_complete("hello")
    most, missing = pods_of(surge, replicas, up=True), pods_of(unavailable, replicas, up=False)
    if most == 0 and missing == 0:
        missing = 1
    sets = {item["metadata"]["name"]: item for item in namespace.owned_sets(made)}
    version = namespace.listing("replicasets")["metadata"]["resourceVersion"]
    namespace.set_image("hello", "example/hello:2.0.0")
    for event in namespace.watch("replicasets", version):
        sets[event["object"]["metadata"]["name"]] = event["object"]
        wanted = sum(item["spec"]["replicas"] for item in sets.values())
        available = sum(item["status"].get("availableReplicas", 0) for item in sets.values())
        assert wanted <= replicas + most
        assert available >= replicas - missing
        new = [
            item
            for item in sets.values()
            if item["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":2.0.0")
        ]
        if new and new[0]["status"].get("availableReplicas", 0) == replicas and wanted == replicas:
            break
    namespace.wait_complete("hello")


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "old", "new"),
    [
        (4, "25%", "25%", 3, 2),
        (10, "25%", "25%", 8, 5),
        (3, "25%", "25%", 3, 1),
        (5, 0, 1, 4, 1),
        (5, 2, 0, 5, 2),
        (1, "25%", "25%", 1, 1),
        (2, 0, "1%", 1, 1),
    ],
)
def test_a_roll_whose_new_pods_never_get_ready_stops_at_the_fenceposts(
    namespace: Namespace, replicas: int, surge: Any, unavailable: Any, old: int, new: int
) -> None:
    namespace.made("deployments", deployment(replicas=replicas, **rolling(surge, unavailable)))
    namespace.wait_complete("hello")
    namespace.set_image("hello", "example/hello:unready")
    wait_sizes(namespace, old, new)


def test_scaling_a_half_rolled_deployment_spreads_the_pods_by_the_sizes_of_its_replicasets(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=5, **rolling(3, 2)))
    namespace.wait_complete("hello")
    namespace.set_image("hello", "example/hello:unready")
    wait_sizes(namespace, 3, 5)
    namespace.patched("deployments", "hello", MERGE, {"spec": {"replicas": 10}}, "scale")
    wait_sizes(namespace, 5, 8)
    namespace.patched("deployments", "hello", MERGE, {"spec": {"replicas": 6}}, "scale")
    wait_sizes(namespace, 3, 6)


def test_scaling_while_paused_grows_the_unproven_pods_as_well(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=4))
    namespace.wait_complete("hello")
    namespace.set_image("hello", "example/hello:unready")
    wait_sizes(namespace, 3, 2)
    namespace.patched("deployments", "hello", MERGE, {"spec": {"paused": True}})
    namespace.wait_observed("hello")
    namespace.patched("deployments", "hello", MERGE, {"spec": {"replicas": 12}})
    wait_sizes(namespace, 9, 6)


def test_scaling_a_settled_deployment_resizes_its_only_active_replicaset(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=2))
    namespace.wait_complete("hello")
    namespace.set_image("hello", "example/hello:2.0.0")
    namespace.wait_complete("hello")
    namespace.patched("deployments", "hello", MERGE, {"spec": {"replicas": 5}}, "scale")
    namespace.wait_complete("hello")
    wait_sizes(namespace, 0, 5)
    namespace.patched("deployments", "hello", MERGE, {"spec": {"replicas": 0}}, "scale")
    wait_sizes(namespace, 0, 0)


def test_unhealthy_pods_of_an_old_replicaset_go_first_when_a_broken_roll_is_rolled_over(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=4))
    namespace.wait_complete("hello")
    namespace.set_image("hello", "example/hello:unready")
    wait_sizes(namespace, 3, 2)
    namespace.set_image("hello", "example/hello:3.0.0")
    namespace.wait_complete("hello")
    wait_sizes(namespace, 0, 0, 4)


def test_the_scale_subresource_has_replicas_and_selector(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=2))
    namespace.wait_complete("hello")
    scale = namespace.read("deployments", "hello", "scale")
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 2, "selector": "app=hello"}
    assert (
        namespace.patch(
            "deployments", "hello", MERGE, {"spec": {"replicas": -1}}, "scale"
        ).status_code
        == 422
    )
