"""The two servers that the contract is judged on, and a namespace for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from sandbox.cluster import SimulatedCluster
from tests.contracts.cluster_api.server import ApiServer, Namespace

_numbers = itertools.count(1)


def server_of(kind: str, kubeconfig: Path) -> ApiServer:
    config = yaml.safe_load(kubeconfig.read_text())
    return ApiServer(
        kind,
        config["clusters"][0]["cluster"]["server"],
        config["users"][0]["user"]["token"],
        kubeconfig,
    )


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("simulated", marks=pytest.mark.slow),
        pytest.param("control_plane", marks=pytest.mark.control_plane),
    ],
)
def api_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """A running API server with three ready nodes whose pods become ready within about a second."""
    if request.param == "simulated":
        with SimulatedCluster(ready_after=0.1, jitter=0.05, stop_after=0.05) as cluster:
            yield server_of(
                "simulated", cluster.kubeconfig(tmp_path_factory.mktemp("simulated") / "kubeconfig")
            )
        return
    running = os.environ.get("PILOTHOUSE_CONTROL_PLANE_KUBECONFIG")
    if running:  # one that somebody started by hand, so that a single test is quick
        yield server_of("control_plane", Path(running))
        return
    yield server_of("control_plane", request.getfixturevalue("control_plane").kubeconfig)


@pytest.fixture
def namespace(api_server: ApiServer) -> Iterator[Namespace]:
    """An empty namespace of its own for the test."""
    name = f"contract-{os.getpid()}-{next(_numbers)}"
    found = Namespace(api_server, name)
    answer = found.http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    try:
        yield found
    finally:
        found.http.delete(f"/api/v1/namespaces/{name}")
        found.http.close()
