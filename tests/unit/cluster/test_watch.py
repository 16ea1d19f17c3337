from __future__ import annotations

import copy
from typing import Any

from bot.cluster.watch import outside_change_of


def deployment(
    uid: str = "u", image: str = "hello:1", manager: str = "kubectl-set", **spec: Any
) -> Any:
    container = {"name": "hello", "image": image}
    by_name: dict[str, Any] = {".": {}, "f:image": {}, "f:name": {}}
    owned: dict[str, Any] = {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"hello"}': by_name}}}}
    }
    entry = {
        "manager": manager,
        "operation": "Update",
        "time": "2026-01-01T00:00:00Z",
        "fieldsV1": owned,
    }
    return {
        "metadata": {"name": "hello", "uid": uid, "managedFields": [entry], "annotations": {}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [container]}}, **spec},
    }


def test_status_and_annotations_alone_are_no_outside_change() -> None:
    after = deployment()
    after["metadata"]["annotations"]["note"] = "x"
    after["status"] = {"replicas": 2}
    assert outside_change_of(deployment(), after) is None


def test_a_write_of_our_managers_is_no_outside_change() -> None:
    assert (
        outside_change_of(deployment(), deployment(image="hello:2", manager="pilothouse")) is None
    )
    assert outside_change_of(None, deployment(manager="pilothouse-apply")) is None


def test_a_deployment_recreated_between_two_lists_is_created() -> None:
    past = outside_change_of(deployment("one"), deployment("two"))
    assert past is not None
    assert past.changed == ("created",)


def test_a_candidate_removed_by_its_release_is_no_outside_change() -> None:
    candidate = deployment()
    assert outside_change_of(candidate, None) is not None
    claimed = copy.deepcopy(candidate)
    claimed["metadata"]["annotations"]["pilothouse.dev/release"] = "hello-1"
    assert outside_change_of(claimed, None) is None
