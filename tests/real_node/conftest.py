"""One cluster of two real nodes for the whole suite, a sandbox on it, and an app for each test."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pytest
import yaml
from kubernetes import client, config

from sandbox.images import Images, ImagesMissing
from sandbox.main import DEMO, Sandbox, run_sandbox
from sandbox.real_node import RealNodes
from tests.journeys.conftest import DEVELOPER, Journey, objects_of
from tests.real_node.traffic import Traffic

APPS = 40
WITHIN_S = 180.0  # a limit for what hangs; a kubelet on a busy machine takes its time
DRAIN_S = 6
Entry = dict[str, Any]
Seen = TypeVar("Seen")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def images() -> Path:
    """The layout of the images that `make local-images` built; a cluster of this suite has them."""
    try:
        return Images().built()
    except ImagesMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


def _catalog(text: str) -> str:
    """Holds that a test ends by itself, and a crash loop that counts after the first restart: a
    kubelet takes 10 s and more for the next ones."""
    catalog = yaml.safe_load(text)
    hello = catalog["apps"]["hello"]
    for number in range(1, APPS + 1):
        catalog["apps"][f"app{number}"] = {
            **hello,
            "images": [f"pilothouse/app{number}"],
            "manifests": [],
            "canary": {"steps": [20, 50], "hold": "1h"},
            "bluegreen": {"rollback_window": "10m"},
            "crash_loop": {"restarts": 1, "for": "1s"},
        }
        catalog["apps"][f"asking{number}"] = {
            **catalog["apps"][f"app{number}"],
            "images": [f"pilothouse/asking{number}"],
            "on_failure": "pause",
        }
        catalog["apps"][f"brief{number}"] = {
            **catalog["apps"][f"app{number}"],
            "images": [f"pilothouse/brief{number}"],
            "bluegreen": {"rollback_window": "30s"},
        }
    return yaml.safe_dump(catalog)


@pytest.fixture(scope="session")
def running(real_node_bot: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Bot and worker with the credentials that the chart grants, on the real nodes."""
    demo = Path(shutil.copytree(DEMO, tmp_path_factory.mktemp("real-node") / "demo"))
    catalog = demo / "catalog.yaml"
    catalog.write_text(_catalog(catalog.read_text(encoding="utf-8")), encoding="utf-8")
    with run_sandbox(demo=demo, rate_scale=0, kubeconfig=real_node_bot) as sandbox:
        yield sandbox


@dataclass
class RealJourney(Journey):
    """One app of real pods, and the requests that clients send to its Service."""

    nodes: RealNodes | None = None

    def until(self, look: Callable[[], Seen | None], what: str, within: float = WITHIN_S) -> Seen:
        return super().until(look, what, max(within, WITHIN_S))

    @property
    def address(self) -> str:
        return f"http://{self.service().spec.cluster_ip}/who"

    @contextlib.contextmanager
    def traffic(self, rate: float = 200, sources: Sequence[str] = ()) -> Iterator[Traffic]:
        """Requests at a steady rate through kube-proxy, each on a connection of its own; from when
        kube-proxy knows the Service, which follows ready pods by a moment."""
        assert self.nodes is not None
        with Traffic(self.nodes, self.address, rate) as first:
            self.until(lambda: first.versions() != {}, "a Service that kube-proxy knows")
        with Traffic(self.nodes, self.address, rate, sources) as traffic:
            self.until(lambda: traffic.versions() != {}, "a first reply through the Service")
            yield traffic

    def is_ready(self, replicas: int) -> bool:
        return (self.deployment().status.available_replicas or 0) == replicas

    def pods(self) -> list[Any]:
        every: list[Any] = self.core.list_namespaced_pod(
            "default", label_selector=f"app={self.app}"
        ).items
        return [pod for pod in every if pod.metadata.deletion_timestamp is None]

    def log_lines(self) -> str:
        """What the one who started the release got of its crash, "" before it is there."""
        start = f"{self.app}-1: the last log lines"
        found: list[dict[str, Any]] = self.sandbox.slack.messages(f"D{DEVELOPER[1:]}", DEVELOPER)
        return next((m["text"] for m in found if m["text"].startswith(start)), "")


Start = Callable[..., RealJourney]
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def start(running: Sandbox, real_nodes: RealNodes) -> Iterator[Start]:
    """Creates the next app of the catalog with its Service; `change` may edit its Deployment
    first. Everything of it is deleted afterwards."""
    with contextlib.ExitStack() as opened:
        api = opened.enter_context(
            contextlib.closing(config.new_client_from_config(str(real_nodes.kubeconfig)))
        )

        def create(
            replicas: int = 4,
            change: Change = lambda _: None,
            *,
            kind: str = "app",
            configmap: str = "",
            data: Mapping[str, str] = MappingProxyType({}),
        ) -> RealJourney:
            app = f"{kind}{next(_numbers)}"
            journey = RealJourney(app, running, api, real_nodes, nodes=real_nodes)
            deployment, service = objects_of(app, replicas)
            pod = deployment["spec"]["template"]["spec"]
            pod["containers"][0]["readinessProbe"]["periodSeconds"] = 1
            pod["terminationGracePeriodSeconds"] = 2 * DRAIN_S
            change(deployment)
            if configmap:
                body = {"metadata": {"name": configmap}, "data": dict(data)}
                journey.core.create_namespaced_config_map("default", body)
            journey.deployments.create_namespaced_deployment("default", deployment)
            journey.core.create_namespaced_service("default", service)
            opened.callback(delete_objects_of, journey)
            journey.until(lambda: journey.is_ready(replicas), f"{replicas} pods of {app}")
            return journey

        yield create


def delete_objects_of(journey: RealJourney) -> None:
    for name in (journey.app, f"{journey.app}-canary", f"{journey.app}-green"):
        with contextlib.suppress(client.ApiException):
            journey.deployments.delete_namespaced_deployment(name, "default")
    with contextlib.suppress(client.ApiException):
        journey.core.delete_namespaced_service(journey.app, "default")


def lost_by_kubectl(journey: RealJourney, nodes: RealNodes, version: str) -> int:
    """Requests lost while kubectl rolls the same app."""
    name, app = f"deployment/{journey.app}", journey.app
    with journey.traffic() as traffic:
        nodes.kubectl("set", "image", name, f"{app}=pilothouse/{app}:{version}")
        nodes.kubectl("rollout", "status", name, "--timeout=110s")
        journey.until(lambda: traffic.newest(100) == {version: 100}, "only the new version")
    return len(traffic.lost())


def drains(deployment: dict[str, Any]) -> None:
    """The app serves on after SIGTERM until proxies have followed, also on a busy machine."""
    container_of(deployment)["env"] = [{"name": "DRAIN", "value": str(DRAIN_S)}]


def container_of(deployment: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return container
