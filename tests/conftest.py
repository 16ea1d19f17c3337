"""Fixtures for every folder: an embedded Redis-compatible server for each test process, emptied
before each test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from redis import Redis

from bot.store import connect
from sandbox.redis_server import EmbeddedRedis

# How long one example takes says something about the machine and what else it does, not about the
# code.
settings.register_profile("pilothouse", deadline=None)
settings.load_profile("pilothouse")

pytest_plugins = (
    "tests.real_cluster",
    "tests.record_suite",
    "tests.shared_server",
    "tests.scheduling",
    "tests.forks",  # imports what is above it
    "tests.spawned",
)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(append_only=True) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    client = Redis.from_url(redis_server.url)
    client.flushall()
    client.set("pilothouse:first_number", 0)
    client.close()
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Redis:
    """As the product connects."""
    return connect(redis_url)


def eventually(claim: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Whether the claim came true before the deadline. Polls often at first, then every 25 ms: a
    poll may cost a request."""
    deadline = time.monotonic() + within_s
    pause_s = 0.002
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 0.025)
    return True
