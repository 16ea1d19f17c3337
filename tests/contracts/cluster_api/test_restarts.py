"""An API server that starts again remembers every object and forgets what it had told its
watchers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bot.cluster import KubernetesCluster
from bot.cluster.watch import Change
from sandbox.cluster import SimulatedCluster
from sandbox.control_plane import ControlPlane
from tests.conftest import eventually
from tests.contracts.cluster_api.conftest import server_of
from tests.contracts.cluster_api.server import MERGE, Json, Namespace, deployment


@dataclass
class Restarting:
    """An API server of its own, since a restart disturbs everybody on it."""

    namespace: Namespace
    restart: Callable[[], None]


@pytest.fixture(
    params=["simulated", pytest.param("control_plane", marks=pytest.mark.control_plane)]
)
def restarting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Restarting]:
    if request.param == "simulated":
        with SimulatedCluster(ready_after=0.1) as simulated:

            def restart() -> None:
                httpx.post(f"{simulated.url}/_sandbox/watches/compact").raise_for_status()
                httpx.post(f"{simulated.url}/_sandbox/watches/end").raise_for_status()

            yield Restarting(
                Namespace(
                    server_of("simulated", simulated.kubeconfig(tmp_path / "kubeconfig")), "default"
                ),
                restart,
            )
    else:
        request.getfixturevalue("control_plane_binaries")
        with ControlPlane() as real:
            yield Restarting(
                Namespace(server_of("control_plane", real.kubeconfig), "default"),
                real.restart_api_server,
            )


def _config_map(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


@pytest.mark.slow
def test_objects_survive_a_restart_but_older_versions_cannot_be_watched(
    restarting: Restarting,
) -> None:
    namespace = restarting.namespace
    before = namespace.made("configmaps", _config_map("one"))["metadata"]["resourceVersion"]
    namespace.made("configmaps", _config_map("two"))
    restarting.restart()
    (event,) = namespace.watch("configmaps", before, seconds=5)
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["status"], status["code"], status["reason"]) == (
        "Status",
        "Failure",
        410,
        "Expired",
    )
    assert status["message"].startswith(f"too old resource version: {before} (")
    listed = namespace.listing("configmaps")
    assert {"one", "two"} <= {item["metadata"]["name"] for item in listed["items"]}
    namespace.made("configmaps", _config_map("three"))
    assert (
        next(namespace.watch("configmaps", listed["metadata"]["resourceVersion"]))["object"][
            "metadata"
        ]["name"]
        == "three"
    )


def test_the_bots_watcher_continues_after_a_restart_and_catches_up(
    restarting: Restarting,
) -> None:
    namespace = restarting.namespace
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    changes: list[Change] = []
    cluster = KubernetesCluster(kubeconfig=str(namespace.server.kubeconfig))
    with cluster.watch(["default"], changes.append) as watcher:
        assert eventually(lambda: watcher.is_synced)
        restarting.restart()
        namespace.http.close()
        namespace.http = namespace.server.client()
        image = {
            "spec": {
                "template": {
                    "spec": {"containers": [{"name": "hello", "image": "example/hello:2.0.0"}]}
                }
            }
        }
        namespace.patched("deployments", "hello", MERGE, image, fieldManager="kubectl-set")

        def told() -> bool:
            past = [one.outside_change for one in list(changes) if one.outside_change is not None]
            return any("template" in one.changed and one.manager == "kubectl-set" for one in past)

        assert eventually(told, within_s=30)
        assert watcher.is_alive
