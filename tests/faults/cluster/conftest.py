from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cluster import KubernetesCluster
from sandbox.cluster import SimulatedCluster
from tests.contracts.cluster_port.conftest import Lab, deployment, service


@pytest.fixture
def simulation() -> Iterator[SimulatedCluster]:
    with SimulatedCluster(ready_after=0.05, stop_after=0.02) as cluster:
        yield cluster


@pytest.fixture
def lab(simulation: SimulatedCluster, tmp_path: Path) -> Lab:
    """The demo app, and an adapter with a product's patience: a busy machine is no fault."""
    kubeconfig = simulation.kubeconfig(tmp_path / "kubeconfig")
    made = Lab(KubernetesCluster(kubeconfig=str(kubeconfig)), "default", kubeconfig)
    made.create("deployments", deployment())
    made.create("services", service())
    made.settled()
    return made


@pytest.fixture
def impatient(lab: Lab) -> Lab:
    """The same, with an adapter that gives up after half a second: only for a server that does not
    answer at all."""
    return Lab(
        KubernetesCluster(kubeconfig=str(lab.kubeconfig), timeout_s=0.5, write_timeout_s=0.5),
        "default",
        lab.kubeconfig,
    )
