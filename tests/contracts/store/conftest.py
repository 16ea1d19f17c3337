"""The same suite for Redis and for the double in memory: whatever a test asks here, both must
answer alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pytest

from bot.ports import ReleaseStore, WorkQueue
from bot.store import Leases, RedisReleaseStore, Retention, connect
from bot.store.connection import PREFIX
from bot.work_queue import RqWorkQueue
from tests.fakes.in_memory_store import InMemoryReleaseStore, InMemoryWorkQueue

KEPT = 3


@dataclass(frozen=True)
class Adapters:
    """``due`` looks behind the port, as a ticker would: the times that are planned, by wake id."""

    store: ReleaseStore
    queue: WorkQueue
    due: Callable[[], dict[str, int]]
    forget_wakes: Callable[[], None]


@pytest.fixture(params=["redis", "in memory"])
def adapters(request: pytest.FixtureRequest) -> Adapters:
    if request.param == "in memory":
        queue = InMemoryWorkQueue()
        store = InMemoryReleaseStore(queue, releases_kept=KEPT)
        return Adapters(store, queue, lambda: dict(queue.due), queue.due.clear)
    client = connect(request.getfixturevalue("redis_url"))

    def due() -> dict[str, int]:
        rows = cast(
            list[tuple[bytes, float]], client.zrange(f"{PREFIX}due", 0, -1, withscores=True)
        )
        return {wake_id.decode(): int(at) for wake_id, at in rows}

    return Adapters(
        RedisReleaseStore(client, retention=Retention(releases=KEPT)),
        RqWorkQueue(client, wake=Leases(client).wake),
        due,
        lambda: cast(None, client.delete(f"{PREFIX}due")),
    )


@pytest.fixture
def store(adapters: Adapters) -> ReleaseStore:
    return adapters.store
