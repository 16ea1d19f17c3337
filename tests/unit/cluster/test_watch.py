from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import pytest
import urllib3

from bot.cluster.connect import Connection
from bot.cluster.watch import RESOURCES, Change, Watcher, outside_change_of
from tests.conftest import eventually


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


class QuietServer:
    """Opens every watch and sends nothing: nothing has changed since it started."""

    server = "https://quiet.test"

    def __init__(self) -> None:
        self.opened = 0

    def get(self, _path: str) -> dict[str, Any]:
        return {"items": [], "metadata": {"resourceVersion": "7"}}

    def stream(self, _path: str, _query: object, *, silence_s: float) -> QuietAnswer:
        self.opened += 1
        return QuietAnswer(silence_s)


class QuietAnswer:
    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s

    def stream(self, *, decode_content: bool) -> Iterator[bytes]:
        if decode_content:
            raise urllib3.exceptions.ReadTimeoutError(cast(Any, None), "/", "Read timed out.")
        yield b""

    def shutdown(self) -> None:
        """Nothing is read."""

    def close(self) -> None:
        """Nothing is open."""


def test_a_quiet_namespace_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    server, changes = QuietServer(), list[Change]()
    with Watcher(cast(Connection, server), ["default"], changes.append, silence_s=0.01) as watcher:
        assert eventually(lambda: server.opened > 3 * len(RESOURCES))
        assert watcher.troubles() == ()
    assert "did not answer" not in caplog.text
