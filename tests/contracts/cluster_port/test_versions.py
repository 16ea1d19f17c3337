"""A cluster that is older than what a plan would like to write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.cluster import KubernetesCluster
from bot.releases.facts.release import Phase
from sandbox.cluster import SimulatedCluster
from tests.builders import a_canary, a_target, rules_with
from tests.contracts.cluster_port.conftest import Lab, deployment, service
from tests.contracts.cluster_port.test_requests_of_a_release import run_to_the_end

HOOK = {"preStop": {"sleep": {"seconds": 5}}}


@pytest.mark.parametrize(("minor", "lifecycle"), [(29, None), (30, HOOK)])
def test_canary_pods_sleep_before_they_end_where_the_cluster_can(
    tmp_path: Path, minor: int, lifecycle: object
) -> None:
    rules = rules_with(canary={"hold_ms": 0, "promote": "automatic", "steps": (50,)})
    draft = replace(a_canary(rules=rules), target=a_target(container="hello"))
    with SimulatedCluster(
        ready_after=0.1, jitter=0.02, stop_after=0.05, kubernetes=(1, minor, 4)
    ) as simulation:
        kubeconfig = simulation.kubeconfig(tmp_path / "kubeconfig")
        lab = Lab(KubernetesCluster(kubeconfig=str(kubeconfig)), "default", kubeconfig)
        lab.create("deployments", deployment())
        lab.create("services", service())
        lab.settled()
        ended = run_to_the_end(KubernetesCluster(kubeconfig=str(kubeconfig)), draft)
        canaries = [one.obj for one in simulation.history() if one.name == "hello-canary"]
    assert ended.phase is Phase.SUCCEEDED, ended.cause
    assert ended.plan is not None
    assert any("Kubernetes 1.29" in note for note in ended.plan.notes) == (minor == 29)
    hooks = [one["spec"]["template"]["spec"]["containers"][0].get("lifecycle") for one in canaries]
    assert hooks and all(hook == lifecycle for hook in hooks)
