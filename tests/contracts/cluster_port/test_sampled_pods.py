"""Pods of both versions asked by name; the real control plane has no kubelet that would answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.cluster import KubernetesCluster
from bot.releases.facts.plan import Probe
from sandbox.cluster import SimulatedCluster
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, deployment

NAMESPACE = "sampled"
PROBE = Probe("/version", 80, 20)


@pytest.fixture(scope="module")
def lab(simulated: SimulatedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    kubeconfig = simulated.kubeconfig(tmp_path_factory.mktemp("sampled") / "kubeconfig")
    lab = Lab(KubernetesCluster(kubeconfig=str(kubeconfig)), NAMESPACE, kubeconfig)
    lab.cluster.connection.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    lab.create("deployments", deployment())
    yield lab
    lab.cluster.connection.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


def pods_of(lab: Lab, version: str) -> list[str]:
    """Ready pods that run it and nothing else."""
    image = f"kelseyhightower/hello:{version}"
    containers = [{"name": "hello", "image": image}]
    lab.edit("deployments", "hello", {"spec": {"template": {"spec": {"containers": containers}}}})

    def ready() -> list[str]:
        found = lab.observe().stable
        pods = [pod for one in found.replica_sets for pod in one.pods] if found else []
        names = [pod.name for pod in pods if pod.ready and not pod.terminating]
        are_new = all(pod.containers[0].image == image for pod in pods)
        return names if are_new and found and len(names) == found.replicas == len(pods) else []

    assert eventually(lambda: bool(ready()))
    return ready()


def outcomes(lab: Lab, pods: list[str], probe: Probe = PROBE) -> Counter[tuple[str, str]]:
    asked = (pods * 8)[:8]
    seen = lab.cluster.sample_pods(lab.target, asked, probe)
    assert [one.pod for one in seen] == asked
    return Counter((one.outcome, one.why) for one in seen)


def test_each_name_is_one_answer_and_the_catalog_says_which_is_good(lab: Lab) -> None:
    pods = pods_of(lab, "1.0.0")
    assert outcomes(lab, pods) == {("good", ""): 8}
    assert outcomes(lab, pods, replace(PROBE, contains="1.0.0")) == {("good", ""): 8}
    missing = replace(PROBE, contains="ready")
    assert outcomes(lab, pods, missing) == {("bad", "its answer does not contain `ready`"): 8}
    assert outcomes(lab, pods, replace(PROBE, path="/none")) == {("bad", "it answers 404"): 8}
    created = replace(PROBE, status=(201, 201))
    assert outcomes(lab, pods, created) == {("bad", "it answers 200"): 8}


def test_a_pod_that_is_gone_has_not_answered(lab: Lab) -> None:
    assert outcomes(lab, ["hello-none"]) == {("lost", 'pods "hello-none" not found'): 8}


def test_pods_that_fail_and_pods_that_are_late_are_bad(lab: Lab) -> None:
    assert outcomes(lab, pods_of(lab, "2.0.0-fails-100")) == {("bad", "it answers 503"): 8}
    late = replace(PROBE, within_ms=200)
    found = outcomes(lab, pods_of(lab, "2.0.0-late"), late)
    assert found == {("bad", "it did not answer within 0.2 s"): 8}
