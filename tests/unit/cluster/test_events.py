"""Warning events as facts of the pods that they are about."""

from __future__ import annotations

from typing import Any

from bot.cluster import reading
from bot.cluster.events import event_lines, with_events

IMAGE = "registry.example.com/team/auth:missing"


def deployment() -> Any:
    meta = {"name": "auth", "uid": "d", "resourceVersion": "1"}
    template = {"spec": {"containers": [{"name": "auth", "image": IMAGE}]}}
    owned = {"ownerReferences": [{"uid": "d", "controller": True}]}
    replica_set = {
        "metadata": {"name": "auth-1", "uid": "r", **owned},
        "spec": {"template": template},
    }
    owned = {"ownerReferences": [{"uid": "r", "controller": True}]}
    pod = {"metadata": {"name": "auth-1-a", "uid": "p", **owned}, "spec": template["spec"]}
    item = {"metadata": meta, "spec": {"selector": {}, "template": template}}
    return reading.deployment(item, [replica_set], [pod])


def warning(message: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "e"},
        "type": "Warning",
        "reason": "Unhealthy",
        "involvedObject": {"uid": "p"},
        "message": message,
    }


def said(message: str) -> str:
    (((_, text),),) = (
        pod.warnings
        for replica_set in with_events(deployment(), [warning(message)], []).replica_sets
        for pod in replica_set.pods
    )
    return str(text)


def test_what_a_probe_answered_is_redacted_and_bounded() -> None:
    assert "hunter2" not in said("Readiness probe failed: db_password=hunter2")
    assert len(said("Readiness probe failed: " + "a " * 8_000)) <= 2_100


def test_the_tag_of_the_pods_image_is_no_secret() -> None:
    message = f'Failed to pull image "{IMAGE}": {IMAGE}: not found'
    assert said(message) == message
    (line,) = event_lines([warning(message)], [deployment()])
    assert line == f"Unhealthy: {message}"
