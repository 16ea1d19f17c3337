"""Room in ResourceQuotas, with the numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from bot.releases.facts.observation import QuotaScope, QuotaSeen
from bot.releases.planning.quotas import pod_needs, quantity, shortages

Mi = 2**20


def a_container(**resources: Any) -> dict[str, Any]:
    return {"name": "hello", "resources": resources}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2),
        ("250m", Fraction(1, 4)),
        ("1.5", Fraction(3, 2)),
        ("10Mi", 10 * Mi),
        ("1e3", 1000),
        ("2E", 2 * 10**18),
        (3, 3),
    ],
)
def test_quantities_are_exact(text: Any, number: Any) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "much", "1Q", "m"])
def test_what_is_no_quantity_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


def test_a_request_that_is_left_out_is_the_limit() -> None:
    needs = pod_needs(
        {"spec": {"containers": [a_container(limits={"cpu": "200m", "memory": "10Mi"})]}}
    )
    assert needs["requests.cpu"] == needs["limits.cpu"] == needs["cpu"] == Fraction(1, 5)
    assert needs["limits.memory"] == 10 * Mi


def test_containers_add_up_and_a_larger_init_container_counts() -> None:
    spec = {
        "containers": [
            a_container(requests={"cpu": "1", "memory": "10Mi"}),
            a_container(requests={"cpu": "1"}),
        ],
        "initContainers": [a_container(requests={"cpu": "500m", "memory": "64Mi"})],
    }
    needs = pod_needs({"spec": spec})
    assert needs["requests.cpu"] == 2
    assert needs["requests.memory"] == 64 * Mi


def test_a_sidecar_runs_along() -> None:
    sidecar = {**a_container(requests={"cpu": "250m"}), "restartPolicy": "Always"}
    needs = pod_needs(
        {"spec": {"containers": [a_container(requests={"cpu": "1"})], "initContainers": [sidecar]}}
    )
    assert needs["requests.cpu"] == Fraction(5, 4)


def test_a_shortage_is_told_with_its_numbers() -> None:
    template = {"spec": {"containers": [a_container(limits={"cpu": "200m", "memory": "10Mi"})]}}
    quota = QuotaSeen(
        "compute",
        {"pods": "5", "limits.cpu": "1", "limits.memory": "1Gi", "count/deployments.apps": "1"},
        {"pods": "3", "limits.cpu": "600m", "limits.memory": "30Mi", "count/deployments.apps": "1"},
    )
    assert shortages([quota], template, 3, deployments=1) == (
        "quota compute: pods 3 of 5 used, 3 more needed",
        "quota compute: limits.cpu 600m of 1 used, 600m more needed",
        "quota compute: count/deployments.apps 1 of 1 used, 1 more needed",
    )


def test_exactly_enough_room_is_enough() -> None:
    assert shortages([QuotaSeen("pods", {"pods": "6"}, {"pods": "3"})], {"spec": {}}, 3) == ()


QUIET: dict[str, Any] = {"spec": {"containers": [a_container()]}}
ASKING: dict[str, Any] = {"spec": {"containers": [a_container(requests={"cpu": "100m"})]}}
URGENT: dict[str, Any] = {"spec": {"containers": [a_container()], "priorityClassName": "urgent"}}
NEXT_TO = {"topologyKey": "zone", "labelSelector": {}, "namespaces": ["data"]}
NEAR: dict[str, Any] = {
    "spec": {
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [NEXT_TO]}}
    }
}
PREFERS: dict[str, Any] = {
    "spec": {
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": NEXT_TO}]
            }
        }
    }
}


@pytest.mark.parametrize(
    ("scope", "template", "counts"),
    [
        (QuotaScope("BestEffort"), QUIET, True),
        (QuotaScope("BestEffort"), ASKING, False),
        (QuotaScope("NotBestEffort"), ASKING, True),
        (QuotaScope("NotBestEffort"), QUIET, False),
        (QuotaScope("Terminating"), QUIET, False),
        (QuotaScope("NotTerminating"), QUIET, True),
        (QuotaScope("PriorityClass", "In", ("urgent", "high")), URGENT, True),
        (QuotaScope("PriorityClass", "In", ("high",)), URGENT, False),
        (QuotaScope("PriorityClass", "NotIn", ("urgent",)), URGENT, False),
        (QuotaScope("PriorityClass", "Exists"), QUIET, False),
        (QuotaScope("PriorityClass", "DoesNotExist"), QUIET, True),
        (QuotaScope("CrossNamespacePodAffinity"), QUIET, False),
        (QuotaScope("CrossNamespacePodAffinity"), NEAR, True),
        (QuotaScope("CrossNamespacePodAffinity"), PREFERS, True),
        (QuotaScope("VolumeAttributesClass", "Exists"), QUIET, False),
    ],
)
def test_a_quota_counts_only_the_pods_in_its_scope(
    scope: QuotaScope, template: dict[str, Any], counts: bool
) -> None:
    full = QuotaSeen("scoped", {"pods": "1"}, {"pods": "1"}, (scope,))
    assert bool(shortages([full], template, 1)) == counts


def test_a_quota_counts_only_what_is_in_all_of_its_scopes() -> None:
    full = QuotaSeen(
        "scoped",
        {"pods": "1"},
        {"pods": "1"},
        (QuotaScope("NotTerminating"), QuotaScope("BestEffort")),
    )
    assert shortages([full], QUIET, 1)
    assert not shortages([full], ASKING, 1)
