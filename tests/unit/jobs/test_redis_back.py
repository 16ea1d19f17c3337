"""The watcher works on soon after Redis is back, and says so once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from bot.store import Leases, connect
from sandbox.cluster import SimulatedCluster
from sandbox.redis_server import EmbeddedRedis
from tests.conftest import eventually
from tests.processes import Started, started
from tests.spawned import spawner

CATALOG = """
clusters: {local: {kubeconfig: ./kubeconfig, context: sandbox}}
apps: {hello: {cluster: local, channel: C0RELEASES}}
"""
IS_AWAY, IS_BACK = "; retrying", "Redis is available again"


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def api(tmp_path: Path) -> Iterator[client.AppsV1Api]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    with SimulatedCluster() as cluster:
        kubeconfig = tmp_path / "kubeconfig"
        cluster.kubeconfig(kubeconfig)
        api = config.new_client_from_config(str(kubeconfig))
        yield client.AppsV1Api(api)
        api.close()


@pytest.fixture
def watcher(redis: EmbeddedRedis, api: client.AppsV1Api, tmp_path: Path) -> Iterator[Started]:
    given = {"REDIS_URL": redis.url, "PILOTHOUSE_CONFIG": str(tmp_path / "catalog.yaml")}
    with started("watcher", given, tmp_path / "log", launch=spawner().spawn) as process:
        assert eventually(process.is_ready), process.log.read_text()
        yield process


def _deployment(image: str) -> dict[str, object]:
    labels = {"app": "hello"}
    container = {"name": "hello", "image": f"registry.test/hello:{image}"}
    return {
        "metadata": {"name": "hello"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


@pytest.mark.slow
def test_the_watcher_reports_within_two_seconds_after_a_long_absence_of_redis(
    redis: EmbeddedRedis, api: client.AppsV1Api, watcher: Started
) -> None:
    api.create_namespaced_deployment("default", _deployment("1"))
    leases = Leases(connect(redis.url))
    assert eventually(lambda: leases.backlog().due > 0), watcher.log.read_text()
    redis.kill()
    api.patch_namespaced_deployment("hello", "default", _deployment("2"))
    assert eventually(lambda: IS_AWAY in watcher.log.read_text())
    # Long enough for a wait that doubles to be longer than two seconds.
    long_ago = time.monotonic()
    assert eventually(lambda: time.monotonic() - long_ago > 3)
    redis.restart()
    back = time.monotonic()
    assert eventually(lambda: IS_BACK in watcher.log.read_text(), 15), watcher.log.read_text()
    took = time.monotonic() - back
    assert took < 2.0
    assert watcher.log.read_text().count(IS_AWAY) == 1
