"""The same suite for Redis, for the product's scripts over the values that a simulation keeps, and
for the double in memory: whatever a test asks here, all must answer alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from redis import Redis

from bot.ports import ReleaseStore, WorkQueue
from bot.runtime import new_id
from bot.store import Leases, RedisReleaseStore, Retention, connect
from bot.store.connection import PREFIX
from bot.work_queue import RqWorkQueue
from tests.fakes.in_memory_leases import InMemoryLeases, LeaseBook
from tests.fakes.in_memory_store import InMemoryReleaseStore, InMemoryWorkQueue, system_clock
from tests.simulation.redis_in_process import RedisInProcess
from tests.simulation.scheduling import Scheduler
from tests.simulation.work import SimulatedJobs

KEPT = 3


@dataclass(frozen=True)
class Adapters:
    """``due`` looks behind the port, as a ticker would: the times that are planned, by wake id."""

    store: ReleaseStore
    queue: WorkQueue
    due: Callable[[], dict[str, int]]
    forget_wakes: Callable[[], None]
    leases: Callable[[], Any]  # those of one more process


@pytest.fixture(params=["redis", "in process", "in memory"])
def adapters(request: pytest.FixtureRequest) -> Adapters:
    if request.param == "in memory":
        queue = InMemoryWorkQueue()
        store = InMemoryReleaseStore(queue, releases_kept=KEPT)
        book = LeaseBook(queue, system_clock)
        return Adapters(
            store,
            queue,
            lambda: dict(queue.due),
            queue.due.clear,
            lambda: InMemoryLeases(book, new_id=new_id),
        )
    is_real = request.param == "redis"
    client: Redis = (
        connect(request.getfixturevalue("redis_url"))
        if is_real
        else RedisInProcess(system_clock).client
    )
    client.set(f"{PREFIX}first_number", 0)
    leases = Leases(client)

    def due() -> dict[str, int]:
        rows = cast(
            list[tuple[bytes, float]], client.zrange(f"{PREFIX}due", 0, -1, withscores=True)
        )
        return {wake_id.decode(): int(at) for wake_id, at in rows}

    return Adapters(
        RedisReleaseStore(client, retention=Retention(releases=KEPT)),
        RqWorkQueue(client, wake=leases.wake)
        if is_real
        else SimulatedJobs(Scheduler(random.Random(1), 0), leases.wake),
        due,
        lambda: cast(None, client.delete(f"{PREFIX}due")),
        lambda: Leases(client),
    )


@pytest.fixture
def store(adapters: Adapters) -> ReleaseStore:
    return adapters.store
