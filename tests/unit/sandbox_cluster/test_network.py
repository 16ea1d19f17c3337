"""Services answer HTTP: through the API server's proxy and through load balancers on loopback."""

from __future__ import annotations

import collections

import httpx
import pytest

from sandbox.cluster import SimulatedCluster
from tests.contracts.cluster_api.server import MERGE, Json, Namespace, deployment, service, wait_for

pytestmark = pytest.mark.slow


def proxied(namespace: Namespace, name: str, path: str) -> httpx.Response:
    return namespace.http.get(f"/api/v1/namespaces/default/services/{name}/proxy/{path}")


def two_versions(namespace: Namespace) -> None:
    namespace.made("services", service())
    namespace.made("deployments", deployment(replicas=3))
    canary = deployment("hello-canary", "example/hello:2.0.0", replicas=1)
    labels = {"app": "hello", "track": "canary"}
    canary["spec"]["selector"]["matchLabels"] = labels
    canary["spec"]["template"]["metadata"]["labels"] = labels
    namespace.made("deployments", canary)
    namespace.wait_complete("hello")
    namespace.wait_complete("hello-canary")
    wait_for(lambda: len(namespace.ready_addresses("hello")) == 4, "four addresses")


def test_the_service_proxy_reaches_a_pod(namespace: Namespace) -> None:
    namespace.made("services", service())
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    wait_for(lambda: namespace.ready_addresses("hello"), "an address")
    assert proxied(namespace, "hello", "").json() == {"message": "Hello"}
    assert proxied(namespace, "hello:80", "version").json() == {"version": "1.0.0"}
    assert proxied(namespace, "hello", "healthz").status_code == 200
    assert proxied(namespace, "hello", "nothing").status_code == 404


def test_a_service_without_ready_pods_answers_503(namespace: Namespace) -> None:
    namespace.made("services", service())
    answer = proxied(namespace, "hello", "version")
    assert answer.status_code == 503
    assert answer.json()["message"] == 'no endpoints available for service "hello"'


def test_requests_are_shared_among_ready_pods_at_random(namespace: Namespace) -> None:
    two_versions(namespace)
    found = collections.Counter(
        proxied(namespace, "hello", "version").json()["version"] for _ in range(200)
    )
    assert set(found) == {"1.0.0", "2.0.0"}
    assert 20 <= found["2.0.0"] <= 85  # a quarter of 200, six standard deviations wide


def test_with_session_affinity_each_client_stays_with_one_version(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    two_versions(namespace)
    namespace.patched(
        "services",
        "hello",
        MERGE,
        {"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP"}},
    )
    url = wait_for(lambda: cluster.service_url("default", "hello"), "an external address")
    versions = set()
    for number in range(2, 32):
        transport = httpx.HTTPTransport(local_address=f"127.0.0.{number}")
        with httpx.Client(transport=transport, headers={"Connection": "close"}) as client:
            seen = {client.get(f"{url}/version").json()["version"] for _ in range(5)}
        assert len(seen) == 1
        versions |= seen
    assert versions == {"1.0.0", "2.0.0"}


def test_the_proxy_of_the_api_server_knows_no_session_affinity(namespace: Namespace) -> None:
    two_versions(namespace)
    namespace.patched("services", "hello", MERGE, {"spec": {"sessionAffinity": "ClientIP"}})
    assert {proxied(namespace, "hello", "version").json()["version"] for _ in range(100)} == {
        "1.0.0",
        "2.0.0",
    }


def frontend() -> list[Json]:
    configuration = """
    upstream hello { server hello.default.svc.cluster.local; }
    server { listen 443; ssl on; location / { proxy_pass http://hello; } }
    """
    pod = {
        "containers": [{"name": "nginx", "image": "nginx:1.27", "ports": [{"containerPort": 443}]}],
        "volumes": [
            {"name": "conf", "configMap": {"name": "nginx"}},
            {"name": "tls", "secret": {"secretName": "tls"}},
        ],
    }
    body = deployment("frontend", replicas=1)
    body["spec"]["template"]["spec"] = pod
    balancer = service("frontend", type="LoadBalancer", ports=[{"port": 443, "targetPort": 443}])
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "nginx"},
            "data": {"frontend.conf": configuration},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tls"},
            "stringData": {"cert.pem": "x", "key.pem": "y"},
        },
        deployment(replicas=1),
        service(),
        body,
        balancer,
    ]


def test_a_load_balancer_serves_https_and_nginx_passes_on_to_its_upstream(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    cluster.seed(frontend())
    namespace.wait_complete("hello")
    namespace.wait_complete("frontend")
    url = wait_for(lambda: cluster.service_url("default", "frontend"), "an external address")
    assert url.startswith("https://127.")
    wait_for(
        lambda: namespace.ready_addresses("frontend") and namespace.ready_addresses("hello"),
        "addresses",
    )
    with httpx.Client(verify=False, timeout=30) as client:
        assert client.get(url).json() == {"message": "Hello"}
    ingress = namespace.read("services", "frontend")["status"]["loadBalancer"]["ingress"]
    assert ingress[0]["ip"] in url


def test_a_load_balancer_without_pods_refuses(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    namespace.made("services", service(type="LoadBalancer"))
    url = wait_for(lambda: cluster.service_url("default", "hello"), "an external address")
    with httpx.Client(timeout=30) as client:
        try:
            client.get(url)
        except httpx.TransportError:
            return
    raise AssertionError("nobody can have answered")


def test_a_service_releases_its_address_when_its_type_changes(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    namespace.made("services", service(type="LoadBalancer"))
    wait_for(lambda: cluster.service_url("default", "hello"), "an external address")
    changed = namespace.patched("services", "hello", MERGE, {"spec": {"type": "ClusterIP"}})
    assert changed["status"] == {"loadBalancer": {}}
    assert "nodePort" not in changed["spec"]["ports"][0]
