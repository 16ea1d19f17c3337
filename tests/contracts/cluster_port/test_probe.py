"""Asking the app itself through its external address; the real control plane has no kubelet that
would answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from bot.cluster import KubernetesCluster
from sandbox.cluster import SimulatedCluster
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, candidate_of, deployment, service

NAMESPACE = "probed"
REQUESTS = 60


@pytest.fixture(scope="module")
def url(
    simulated: SimulatedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lab, str]]:
    """Two pods of 1.0.0 and two of 2.0.0 behind one load balancer."""
    kubeconfig = simulated.kubeconfig(tmp_path_factory.mktemp("probed") / "kubeconfig")
    lab = Lab(KubernetesCluster(kubeconfig=str(kubeconfig)), NAMESPACE, kubeconfig)
    lab.cluster.connection.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    lab.create("deployments", deployment())
    lab.create("services", {**service(), "spec": {**service()["spec"], "type": "LoadBalancer"}})
    canary = candidate_of(lab.settled(), "hello-1", replicas=2)
    canary["spec"]["template"]["spec"]["containers"][0]["image"] = "kelseyhightower/hello:2.0.0"
    lab.create("deployments", canary)
    assert eventually(lambda: sum(one.ready for one in lab.observe("hello-canary").endpoints) == 4)
    address = simulated.service_url(NAMESPACE, "hello")
    assert address
    yield lab, address
    lab.cluster.connection.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


def answers(lab: Lab, url: str | None, *, sticky: bool) -> Counter[str]:
    return Counter(
        lab.cluster.probe(
            lab.target, "hello", "/version", requests=REQUESTS, sticky=sticky, url=url
        )
    )


def affinity(lab: Lab, kind: str) -> None:
    lab.edit("services", "hello", {"spec": {"sessionAffinity": kind}})


BOTH = {'{"version":"1.0.0"}', '{"version":"2.0.0"}'}


def test_new_connections_reach_both_versions_and_each_keeps_its_own(
    url: tuple[Lab, str],
) -> None:
    lab, address = url
    affinity(lab, "None")
    shared = answers(lab, address, sticky=False)
    assert set(shared) == BOTH
    assert 5 <= shared['{"version":"2.0.0"}'] <= 55  # half of 60, six standard deviations wide
    assert len(answers(lab, address, sticky=True)) == 1


def test_session_affinity_keeps_a_client_on_one_version(
    url: tuple[Lab, str],
) -> None:
    lab, address = url
    affinity(lab, "ClientIP")
    assert len(answers(lab, address, sticky=False)) == 1


def test_session_affinity_is_invisible_through_the_api_server(url: tuple[Lab, str]) -> None:
    lab, _ = url
    affinity(lab, "ClientIP")
    assert set(answers(lab, None, sticky=False)) == BOTH
