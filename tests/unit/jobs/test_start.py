"""Each process starts with a Redis that a file names, as the chart gives it, waits as long as Redis
refuses it, and works once it is allowed."""

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
from tests.processes import Started, started

USER, PASSWORD = "pilothouse", "pa55word"
REFUSED_AT_A_COMMAND = "denied a command"
CATALOG = """
clusters: {local: {in_cluster: true}}
apps: {hello: {}}
"""


class GuardedRedis:
    """Knows the user of the processes, and lets it connect. What else it may is up to the test."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self._administrator = connect(server.url)
        self.url = f"redis://{USER}:{PASSWORD}@127.0.0.1:{server.port}/0"
        self.leases = Leases(self._administrator)

    def refuse(self) -> None:
        self._administrator.acl_setuser(
            USER, enabled=True, reset=True, passwords=[f"+{PASSWORD}"], categories=["+@connection"]
        )

    def allow(self) -> None:
        self._administrator.acl_setuser(
            USER, enabled=True, keys=["*"], channels=["*"], categories=["+@all"]
        )


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def redis(server: EmbeddedRedis) -> GuardedRedis:
    guarded = GuardedRedis(server)
    guarded.refuse()
    return guarded


@pytest.fixture
def environment(tmp_path: Path, redis: GuardedRedis) -> dict[str, str]:
    contents = {
        "bot-token": "xoxb-1",
        "signing-secret": "secret",
        "url": redis.url,
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


def waits_and_then_works(child: Started, redis: GuardedRedis) -> None:
    assert eventually(lambda: REFUSED_AT_A_COMMAND in child.why_not_ready(), 60), child.log
    assert not child.is_over()
    redis.allow()
    assert eventually(child.is_ready, 60), child.log.read_text()
    log = child.log.read_text()
    assert PASSWORD not in log
    assert "Traceback" not in log, log


@pytest.mark.slow
def test_the_watcher_starts_with_secrets_in_files(
    environment: dict[str, str], tmp_path: Path, redis: GuardedRedis
) -> None:
    with started("watcher", environment, tmp_path / "log") as child:
        waits_and_then_works(child, redis)


def test_a_worker_with_secrets_in_files_runs_its_jobs(
    environment: dict[str, str], tmp_path: Path, redis: GuardedRedis
) -> None:
    with started("worker", environment, tmp_path / "log") as child:
        waits_and_then_works(child, redis)
        assert REFUSED_AT_A_COMMAND in child.log.read_text()  # it reads Redis by itself
        assert eventually(lambda: redis.leases.counters().get("jobs:sweep:done", 0) > 0, 60), (
            child.log.read_text()
        )


@pytest.mark.slow
def test_the_bot_shows_its_metrics_on_their_own_port_alone(
    environment: dict[str, str], tmp_path: Path, redis: GuardedRedis
) -> None:
    port = free_port()
    given = {**environment, "PILOTHOUSE_METRICS_PORT": str(port)}
    with started("bot", given, tmp_path / "log") as child:
        waits_and_then_works(child, redis)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"pilothouse_slack_requests" in answer.read()
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(f"{child.url}/metrics", timeout=5)
