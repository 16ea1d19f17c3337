from __future__ import annotations

from typing import Any

import pytest

from bot.cluster import reading
from bot.cluster.connect import label_query
from bot.cluster.managed_fields import dotted, remove_at, value_at, writer_of
from bot.releases.assess.card_snapshot import app_image


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T00:00:00.123456Z", 1_767_225_600_123),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600_000),
        ("", 0),
        (None, 0),
    ],
)
def test_times_become_integer_milliseconds(text: str | None, expected: int) -> None:
    assert reading.milliseconds(text) == expected


def test_a_selector_becomes_a_query() -> None:
    selector = {
        "matchLabels": {"app": "hello"},
        "matchExpressions": [
            {"key": "track", "operator": "NotIn", "values": ["a", "b"]},
            {"key": "tier", "operator": "In", "values": ["web"]},
            {"key": "old", "operator": "DoesNotExist"},
            {"key": "new", "operator": "Exists"},
        ],
    }
    assert label_query(selector) == {
        "labelSelector": "app=hello,track notin (a,b),tier in (web),!old,new"
    }


def pod(**status: Any) -> Any:
    return {
        "metadata": {"name": "hello-1", "uid": "u"},
        "spec": {
            "containers": [{"name": "hello", "image": "hello:1"}],
            "initContainers": [{"name": "setup", "image": "setup:1"}],
        },
        "status": status,
    }


def test_a_crashing_container_has_its_reason_and_last_end() -> None:
    status = {
        "name": "hello",
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
        "lastState": {
            "terminated": {
                "reason": "OOMKilled",
                "exitCode": 137,
                "finishedAt": "1970-01-01T00:00:05Z",
            }
        },
    }
    init, main = reading.pod(pod(phase="Running", containerStatuses=[status])).containers
    assert (init.name, init.init, init.restarts) == ("setup", True, 0)
    assert (main.waiting, main.last_terminated, main.exit_code, main.last_terminated_at) == (
        "CrashLoopBackOff",
        "OOMKilled",
        137,
        5_000,
    )
    assert (main.restarts, main.init, main.message) == (4, False, "back-off 40s")


def test_an_unschedulable_pod_quotes_the_scheduler() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }
    assert reading.pod(pod(conditions=[condition])).unschedulable == "0/3 nodes are available"


def test_an_endpoint_is_counted_once_and_is_ready_by_default() -> None:
    def one(name: str, **conditions: bool) -> Any:
        endpoint = {
            "addresses": ["10.0.0.1"],
            "conditions": conditions,
            "targetRef": {"kind": "Pod", "name": "p", "uid": "u"},
        }
        return {
            "metadata": {"labels": {"kubernetes.io/service-name": name}},
            "endpoints": [endpoint],
        }

    (seen,) = reading.endpoints([one("hello", ready=False), one("hello")])
    assert (seen.service, seen.ready, seen.pod) == ("hello", True, "p")
    assert len(reading.endpoints([one("hello"), one("other")])) == 2


def test_a_path_of_managed_fields_reads_like_one_of_kubernetes() -> None:
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:targetPort")
    assert dotted(path) == "spec.ports[port=80,protocol=TCP].targetPort"
    item = {
        "spec": {
            "ports": [
                {"port": 80, "protocol": "UDP", "targetPort": 1},
                {"port": 80, "protocol": "TCP", "targetPort": 2},
            ]
        }
    }
    assert value_at(item, path) == 2


def test_removing_the_last_field_of_a_list_item_removes_the_item() -> None:
    container = {"name": "hello", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    item = {"containers": [container]}
    root = ("f:containers", 'k:{"name":"hello"}', "f:env")
    remove_at(item, (*root, 'k:{"name":"A"}', "f:value"))
    assert container["env"] == [{"name": "B", "value": "2"}]
    remove_at(item, (*root, 'k:{"name":"B"}', "f:value"))
    assert "env" not in container


def deployment(replicas: int, paused: bool | None = None, **owners: list[str]) -> Any:
    """``owners``: manager → fields of the spec."""
    spec: dict[str, Any] = {"replicas": replicas} | ({} if paused is None else {"paused": paused})
    entry = {"operation": "Update", "time": "2026-01-01T00:00:00Z"}
    fields = [
        {**entry, "manager": manager, "fieldsV1": {"f:spec": {f"f:{one}": {} for one in names}}}
        for manager, names in owners.items()
    ]
    return {"metadata": {"managedFields": fields}, "spec": spec}


def test_the_writer_of_a_field_is_found_within_the_same_second() -> None:
    before = deployment(2, creator=["replicas"])
    after = deployment(3, creator=[], scaler=["replicas"])
    assert writer_of(before, after, ("replicas",)) == ("scaler", "")


def test_a_removed_field_is_laid_to_the_one_who_owned_it() -> None:
    before = deployment(2, paused=True, creator=["replicas"], pilothouse=["paused"])
    after = deployment(2, creator=["replicas"], pilothouse=[])
    assert writer_of(before, after, ("paused",)) == ("pilothouse", "")


def test_without_managed_fields_the_writer_is_unknown() -> None:
    assert writer_of(deployment(2), deployment(3), ("replicas",)) == ("", "")


def test_an_injected_proxy_that_comes_first_is_not_the_app() -> None:
    template = {"metadata": {}, "spec": {"containers": [{"name": "app", "image": "shop:1.0.0"}]}}
    proxy = {"name": "mesh-proxy", "image": "mesh/proxy:1.22.0"}
    owner = {"uid": "set", "controller": True}
    meshed = {
        "metadata": {"name": "shop-1-a", "uid": "pod", "ownerReferences": [owner]},
        "spec": {
            "initContainers": [{"name": "setup", "image": "mesh/setup:1.22.0"}],
            "containers": [proxy, *template["spec"]["containers"]],
        },
    }
    replica_set = {"metadata": {"name": "shop-1", "uid": "set"}, "spec": {"template": template}}
    (seen,) = reading.replica_set(replica_set, [meshed]).pods
    assert [one.name for one in seen.containers] == ["setup", "app", "mesh-proxy"]
    assert app_image(seen, None) == "shop:1.0.0"


def test_a_deployment_names_the_controller_that_owns_it() -> None:
    owner = {"kind": "WebApp", "name": "shop", "uid": "u", "controller": True}
    meta = {"name": "shop", "uid": "d", "resourceVersion": "1", "ownerReferences": [owner]}
    item = {"metadata": meta, "spec": {"selector": {}, "template": {}}}
    assert reading.deployment(item).owner == "WebApp shop"


def test_an_admission_that_denies_pods_names_their_image() -> None:
    image, denied = "team/auth:missing", "pods is forbidden: team/auth:missing is not signed"
    template = {"spec": {"containers": [{"name": "auth", "image": image}]}}
    failed = {"type": "ReplicaFailure", "status": "True", "message": denied}
    item = {
        "metadata": {"name": "auth-1", "uid": "1"},
        "spec": {"template": template},
        "status": {"conditions": [failed]},
    }
    assert reading.replica_set(item).failure == denied
    deployment = {
        "metadata": {"name": "auth", "uid": "2", "resourceVersion": "1"},
        "spec": {"template": template, "selector": {"matchLabels": {"app": "auth"}}},
        "status": {"conditions": [{**failed, "reason": "FailedCreate"}]},
    }
    assert reading.deployment(deployment).conditions[0][3] == denied
