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
    """The demo app, and an adapter that loses patience after half a second."""
    kubeconfig = simulation.kubeconfig(tmp_path / "kubeconfig")
    made = Lab(KubernetesCluster(kubeconfig=str(kubeconfig), timeout_s=0.5), "default", kubeconfig)
    made.create("deployments", deployment())
    made.create("services", service())
    made.settled()
    return made
