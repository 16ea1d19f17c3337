from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import pytest
import urllib3

from bot.cluster.connect import Connection
from bot.cluster.outside_changes import as_item, last_seen_of, outside_change_of
from bot.cluster.watch import RESOURCES, Change, Watcher
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


class ServerWithADeployment(QuietServer):
    def __init__(self, *items: Any) -> None:
        super().__init__()
        self.items = items

    def get(self, path: str) -> dict[str, Any]:
        items = self.items if path.endswith("/deployments") else ()
        return {"items": items, "metadata": {"resourceVersion": "7"}}


def reported_at_the_start(remembered: Any, *items: Any) -> list[Change]:
    """Of Deployments, by a watcher that starts after another remembered what it saw last."""
    changes: list[Change] = []
    connection = cast(Connection, ServerWithADeployment(*items))
    known = {("default", "deployments", "hello"): last_seen_of("deployments", remembered)}
    with Watcher(connection, ["default"], changes.append, silence_s=0, remembered=known) as watcher:
        assert eventually(lambda: watcher.is_synced)
    return [one for one in changes if one.outside_change is not None]


def test_what_was_changed_while_nobody_watched_is_told_with_its_writer() -> None:
    (change,) = reported_at_the_start(deployment(), deployment(image="hello:2"))
    past = change.outside_change
    assert past is not None and past.missed and past.changed == ("template",)
    assert (past.images_before, past.images_after) == (("hello:1",), ("hello:2",))
    assert past.manager == "kubectl-set"


def test_what_went_while_nobody_watched_is_told() -> None:
    (change,) = reported_at_the_start(deployment())
    assert change.outside_change is not None and change.outside_change.changed == ("deleted",)
    assert change.seen is not None and change.seen.spec == ""


def test_what_we_changed_or_nobody_did_while_nobody_watched_is_not_told() -> None:
    assert reported_at_the_start(deployment(), deployment()) == []
    ours = deployment(image="hello:2", manager="pilothouse")
    assert reported_at_the_start(deployment(), ours) == []


def test_our_roll_does_not_hide_that_somebody_else_scaled() -> None:
    after = deployment(image="hello:2", manager="pilothouse", replicas=5)
    after["spec"]["replicas"] = 5
    scaling: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    after["metadata"]["managedFields"].append(
        {"manager": "kubectl", "subresource": "scale", "operation": "Update", "fieldsV1": scaling}
    )
    past = outside_change_of(deployment(), after)
    assert past is not None
    assert (past.changed, past.manager) == (("replicas",), "kubectl, subresource scale")


def test_a_deployment_made_anew_is_later_than_each_state_of_the_old_one() -> None:
    old, new = deployment("one"), deployment("two")
    old["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z", "generation": 41}
    new["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:05Z", "generation": 1}
    states = [
        last_seen_of("deployments", old),
        last_seen_of("deployments", old, deleted=True),
        last_seen_of("deployments", new),
    ]
    assert states == sorted(states, key=lambda one: one.order)
    assert as_item("hello", states[1]) is None
