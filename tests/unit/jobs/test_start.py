"""Each process starts with a Redis that a file names, as the chart gives it."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from bot.store import Leases, connect
from sandbox.free_ports import free_port
from sandbox.redis_server import EmbeddedRedis
from tests.conftest import eventually
from tests.processes import running

PASSWORD = "pa55word"
CATALOG = """
clusters: {local: {in_cluster: true}}
apps: {hello: {}}
"""


@pytest.fixture(scope="module")
def guarded_redis_url() -> Iterator[str]:
    """Of a server that asks for a password."""
    with EmbeddedRedis(append_only=True) as server:
        connect(server.url).config_set("requirepass", PASSWORD)
        yield f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"


@pytest.fixture
def environment(tmp_path: Path, guarded_redis_url: str) -> dict[str, str]:
    contents = {
        "bot-token": "xoxb-1",
        "signing-secret": "secret",
        "url": guarded_redis_url,
        "catalog.yaml": CATALOG,
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {
        "PILOTHOUSE_CONFIG": str(tmp_path / "catalog.yaml"),
        "SLACK_BOT_TOKEN_FILE": str(tmp_path / "bot-token"),
        "SLACK_SIGNING_SECRET_FILE": str(tmp_path / "signing-secret"),
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "REDIS_URL_FILE": str(tmp_path / "url"),
    }


@pytest.mark.parametrize("process", ["bot", "watcher"])
def test_a_process_starts_with_secrets_in_files(
    environment: dict[str, str], tmp_path: Path, process: str
) -> None:
    with running(process, environment, tmp_path / "log"):
        assert PASSWORD not in (tmp_path / "log").read_text()


def test_a_worker_with_secrets_in_files_runs_its_jobs(
    environment: dict[str, str], tmp_path: Path, guarded_redis_url: str
) -> None:
    leases = Leases(connect(guarded_redis_url))
    with running("worker", environment, tmp_path / "log"):
        assert eventually(lambda: leases.counters().get("jobs:sweep:done", 0) > 0), (
            tmp_path / "log"
        ).read_text()


def test_the_bot_shows_its_metrics_on_their_own_port_alone(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    given = {**environment, "PILOTHOUSE_METRICS_PORT": str(port)}
    with running("bot", given, tmp_path / "log") as address:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"pilothouse_slack_requests" in answer.read()
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(f"{address}/metrics", timeout=5)
