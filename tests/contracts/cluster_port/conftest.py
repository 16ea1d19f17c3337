"""Each kind of cluster, and a namespace of its own with the demo app for each test."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.cluster import KubernetesCluster
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.target import Target
from sandbox.cluster import SimulatedCluster
from tests.conftest import eventually

NEEDS_RUNNING_PODS = ("test_reading_for_people", "test_releases")
_numbers = itertools.count(1)
Json = dict[str, Any]


@pytest.fixture(scope="session")
def simulated() -> Iterator[SimulatedCluster]:
    with SimulatedCluster(ready_after=0.1, jitter=0.02, stop_after=0.05) as cluster:
        yield cluster


@pytest.fixture(
    scope="session",
    params=[
        "simulated",
        pytest.param("control_plane", marks=pytest.mark.control_plane),
        pytest.param("real_nodes", marks=pytest.mark.real_node),
    ],
)
def kubeconfig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "simulated":
        cluster: SimulatedCluster = request.getfixturevalue("simulated")
        return cluster.kubeconfig(tmp_path_factory.mktemp("simulated") / "kubeconfig")
    running = os.environ.get(
        "PILOTHOUSE_CONTROL_PLANE_KUBECONFIG"
    )  # one started by hand, so that a single test is quick
    if running and request.param == "control_plane":
        return Path(running)
    return Path(request.getfixturevalue(request.param).kubeconfig)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What only running pods can answer is shown on the real nodes by `make check`, the rest of
    the suite by `make real-node-whole`."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        is_real = parameters.get("kubeconfig") == "real_nodes"
        if is_real and item.path.stem not in NEEDS_RUNNING_PODS:
            item.add_marker(pytest.mark.slow)


@dataclass
class Lab:
    """One namespace: the adapter under test, and another manager's hand to prepare and disturb
    things."""

    cluster: KubernetesCluster
    namespace: str
    kubeconfig: Path
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        self.target = Target("hello", "local", self.namespace, "hello", "hello", ("hello",))

    def path(self, plural: str, name: str = "") -> str:
        groups = {
            "deployments": "/apis/apps/v1",
            "poddisruptionbudgets": "/apis/policy/v1",
            "horizontalpodautoscalers": "/apis/autoscaling/v2",
            "networkpolicies": "/apis/networking.k8s.io/v1",
        }
        path = f"{groups.get(plural, '/api/v1')}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}" if name else path

    def create(self, plural: str, body: Json, manager: str = "kubectl-create") -> Json:
        made: Json = self.cluster.connection.post(
            self.path(plural), body, {"fieldManager": manager}
        )
        return made

    def read(self, plural: str, name: str) -> Json:
        found: Json = self.cluster.connection.get(self.path(plural, name))
        return found

    def edit(self, plural: str, name: str, body: Json, manager: str = "kubectl-edit") -> Json:
        patched: Json = self.cluster.connection.patch(
            self.path(plural, name),
            body,
            {"fieldManager": manager},
            content_type="application/merge-patch+json",
        )
        return patched

    def delete(self, plural: str, name: str) -> None:
        self.cluster.connection.send("DELETE", self.path(plural, name))

    def observe(self, candidate: str = "", **options: Any) -> Observation:
        return self.cluster.observe(self.target, candidate=candidate, **options)

    def reads(self) -> int | None:
        """The bot's reads so far; None where the cluster does not tell."""
        status, body = self.cluster.connection.answer("/_sandbox/state", timeout_s=30)
        return int(json.loads(body)["requestsOf"]["pilothouse"]["GET"]) if status == 200 else None

    def stable(self) -> DeploymentSeen:
        stable = self.observe().stable
        assert stable is not None
        return stable

    def settled(self) -> DeploymentSeen:
        """Once every replica is of the newest template and available. Waits with one small read at
        a time: a look takes six."""

        def is_settled() -> bool:
            found = self.read("deployments", "hello")
            status = found.get("status", {})
            counts = {
                status.get(count, 0)
                for count in ("replicas", "updatedReplicas", "availableReplicas")
            }
            return status.get("observedGeneration", 0) >= found["metadata"][
                "generation"
            ] and counts == {found["spec"]["replicas"]}

        assert eventually(is_settled)
        return self.stable()


def deployment(name: str = "hello", **spec: Any) -> Json:
    labels = {"app": "hello", "track": "stable"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": "hello",
                            "image": "kelseyhightower/hello:1.0.0",
                            "ports": [{"name": "http", "containerPort": 80}],
                            "env": [{"name": "GREETING", "value": "hello"}],
                        },
                        {
                            "name": "sidecar",
                            "image": "kelseyhightower/auth:1.0.0",
                            # Else both would listen on one port of the pod.
                            "env": [{"name": "LISTEN", "value": ":8080"}],
                        },
                    ]
                },
            },
            **spec,
        },
    }


def service(name: str = "hello") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "hello"}, "ports": [{"port": 80, "targetPort": 80}]},
    }


def an_autoscaler(name: str = "hello-hpa", *, least: int = 1, most: int = 5) -> Json:
    """Of hello."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def candidate_of(stable: DeploymentSeen, claim: str, replicas: int = 0) -> Json:
    template = {**stable.template, "metadata": {"labels": {"app": "hello", "track": "canary"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello-canary", "annotations": {"pilothouse.dev/release": claim}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "hello", "track": "canary"}},
            "template": template,
        },
    }


@pytest.fixture
def empty_lab(kubeconfig: Path) -> Iterator[Lab]:
    """A namespace with nothing in it."""
    name = f"port-{os.getpid()}-{next(_numbers)}"
    cluster = KubernetesCluster(kubeconfig=str(kubeconfig))
    cluster.connection.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield Lab(cluster, name, kubeconfig)
    cluster.connection.send("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def lab(empty_lab: Lab) -> Lab:
    """With the demo app running: Deployment and Service `hello`."""
    empty_lab.create("deployments", deployment())
    empty_lab.create("services", service())
    empty_lab.settled()
    return empty_lab
