"""A thin client for the contract tests: paths and JSON as they are on the wire, and waiting for a
condition."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

Json = dict[str, Any]
Found = TypeVar("Found")

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

DEADLINE_SECONDS = 30.0
_GROUPS = {
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "poddisruptionbudgets": "/apis/policy/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "roles": "/apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
}


def wait_for(
    probe: Callable[[], Found | None], what: str, seconds: float = DEADLINE_SECONDS
) -> Found:
    """Calls the probe until it gives something true; each look is a request, so the pause
    is short."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class ApiServer:
    """One running API server, simulated or real."""

    kind: str
    url: str
    token: str
    kubeconfig: Path

    def client(self, agent: str = "contract/1") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": agent}
        return httpx.Client(base_url=self.url, headers=headers, verify=False, timeout=20)


class Namespace:
    """Requests within one namespace of the server."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self.server = server
        self.name = name
        self.http = server.client()

    def path(self, plural: str, name: str = "", subresource: str = "") -> str:
        parts = [_GROUPS.get(plural, "/api/v1"), "namespaces", self.name, plural, name, subresource]
        return "/".join(part for part in parts if part)

    def create(self, plural: str, body: Json, **query: str) -> httpx.Response:
        return self.http.post(self.path(plural), json=body, params=query)

    def made(self, plural: str, body: Json, **query: str) -> Json:
        """Creates, and insists on it."""
        return _good(self.create(plural, body, **query))

    def get(self, plural: str, name: str, subresource: str = "") -> httpx.Response:
        return self.http.get(self.path(plural, name, subresource))

    def read(self, plural: str, name: str, subresource: str = "") -> Json:
        return _good(self.get(plural, name, subresource))

    def listing(self, plural: str, **query: str) -> Json:
        return _good(self.http.get(self.path(plural), params=query))

    def items(self, plural: str, **query: str) -> list[Json]:
        items: list[Json] = self.listing(plural, **query)["items"]
        return items

    def replace(self, plural: str, name: str, body: Json, **query: str) -> httpx.Response:
        return self.http.put(self.path(plural, name), json=body, params=query)

    def patch(
        self, plural: str, name: str, kind: str, body: object, subresource: str = "", **query: str
    ) -> httpx.Response:
        return self.http.patch(
            self.path(plural, name, subresource),
            content=json.dumps(body).encode(),
            headers={"Content-Type": kind},
            params=query,
        )

    def patched(
        self, plural: str, name: str, kind: str, body: object, subresource: str = "", **query: str
    ) -> Json:
        return _good(self.patch(plural, name, kind, body, subresource, **query))

    def delete(self, plural: str, name: str, options: Json | None = None) -> httpx.Response:
        return self.http.request("DELETE", self.path(plural, name), json=options or {})

    def apply(self, plural: str, body: Json, manager: str, **query: str) -> httpx.Response:
        return self.patch(
            plural, body["metadata"]["name"], APPLY, body, fieldManager=manager, **query
        )

    def watch(self, plural: str, version: str, seconds: int = 20, **query: str) -> Iterator[Json]:
        """Events from a version on; the stream ends by itself after a time."""
        params = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(seconds), **query}
        with self.http.stream("GET", self.path(plural), params=params) as stream:
            for line in stream.iter_lines():
                yield json.loads(line)

    def set_image(self, name: str, image: str, **query: str) -> Json:
        body = {"spec": {"template": {"spec": {"containers": [{"name": "hello", "image": image}]}}}}
        return self.patched("deployments", name, STRATEGIC, body, **query)

    def owned_sets(self, deployment: Json) -> list[Json]:
        """ReplicaSets of a Deployment by revision."""
        uid = deployment["metadata"]["uid"]
        found = [item for item in self.items("replicasets") if _is_owned(item, uid)]
        return sorted(found, key=revision)

    def owned_pods(self, replica_set: Json) -> list[Json]:
        return [
            item for item in self.items("pods") if _is_owned(item, replica_set["metadata"]["uid"])
        ]

    def wait_complete(self, name: str) -> Json:
        """Complete by the rules of kubectl rollout status."""

        def probe() -> Json | None:
            deployment = self.read("deployments", name)
            return deployment if is_complete(deployment) else None

        return wait_for(probe, f"deployment {name} complete")

    def wait_observed(self, name: str) -> Json:
        def probe() -> Json | None:
            deployment = self.read("deployments", name)
            seen = deployment["status"].get("observedGeneration", 0)
            return deployment if seen >= deployment["metadata"]["generation"] else None

        return wait_for(probe, f"deployment {name} observed")

    def ready_addresses(self, service: str) -> set[str]:
        slices = self.items("endpointslices", labelSelector=f"kubernetes.io/service-name={service}")
        return {
            endpoint["targetRef"]["name"]
            for item in slices
            for endpoint in item.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
        }


def _good(response: httpx.Response) -> Json:
    assert response.status_code < 300, response.text
    body: Json = response.json()
    return body


def _is_owned(obj: Json, uid: str) -> bool:
    return any(item["uid"] == uid for item in obj["metadata"].get("ownerReferences") or ())


def revision(obj: Json) -> int:
    return int(obj["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", 0))


def is_complete(deployment: Json) -> bool:
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def condition(obj: Json, kind: str) -> Json:
    """The condition of a type, empty when there is none."""
    found: Json = next(
        (item for item in obj["status"].get("conditions") or () if item["type"] == kind), {}
    )
    return found


def deployment(
    name: str = "hello", image: str = "example/hello:1.0.0", replicas: int = 3, **spec: Any
) -> Json:
    labels = {"app": name}
    container = {
        "name": "hello",
        "image": image,
        "ports": [{"name": "http", "containerPort": 80}],
        "env": [{"name": "GREETING", "value": "hello"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
            **spec,
        },
    }


def service(name: str = "hello", **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}], **spec},
    }
