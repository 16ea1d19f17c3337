"""A quick simulated cluster for each test, and a namespace client for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cluster import SimulatedCluster
from sandbox.cluster.api_server.access import ADMIN_TOKEN
from tests.contracts.cluster_api.server import ApiServer, Namespace


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    with SimulatedCluster(ready_after=0.05, stop_after=0.02, back_off=0.2) as running:
        yield running


@pytest.fixture
def namespace(cluster: SimulatedCluster, tmp_path: Path) -> Iterator[Namespace]:
    server = ApiServer(
        "simulated", cluster.url, ADMIN_TOKEN, cluster.kubeconfig(tmp_path / "kubeconfig")
    )
    found = Namespace(server, "default")
    yield found
    found.http.close()
