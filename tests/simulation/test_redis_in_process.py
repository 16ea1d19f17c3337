"""The embedded Redis beside another one: the same scripts over fakeredis give the same worlds."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import fakeredis
import pytest

from bot.store.connection import PREFIX
from tests.simulation.redis_in_process import RECORDS, RedisInProcess
from tests.simulation.redis_values import SortedSet
from tests.simulation.world import World


class OtherRedis(RedisInProcess):
    """See RedisInProcess. fakeredis asks ``time.time``."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._server = fakeredis.FakeServer(version=(7, 0))
        self.client: Any = fakeredis.FakeRedis(server=self._server)

    def is_nudged(self) -> bool:
        return f"{PREFIX}nudge".encode() in self._server.dbs[0]

    def unnudge(self) -> None:
        self.client.delete(f"{PREFIX}nudge")

    def remember(self) -> Any:
        return copy.deepcopy(dict(self._server.dbs[0]._dict))

    def go_back(self, remembered: Any) -> None:
        there = self._server.dbs[0]._dict
        there.clear()
        there.update(copy.deepcopy(remembered))

    def documents(self) -> dict[str, bytes]:
        names = [name for name in self._server.dbs[0]._dict if name.startswith(RECORDS)]
        return {
            name.removeprefix(RECORDS).decode(): self.client.hget(name, "document")
            for name in names
        }

    def rewrite(self, change: Callable[[str, bytes], bytes]) -> None:
        for one, document in self.documents().items():
            self.client.hset(RECORDS + one.encode(), "document", change(one, document))


@pytest.mark.parametrize(
    "seed", ["3", *(pytest.param(str(n), marks=pytest.mark.slow) for n in (5, 6, 8, 23))]
)
def test_a_world_is_the_same_over_another_embedded_server(seed: str) -> None:
    ours = World(seed, keeps_lines=False).run()
    other = World(seed, keeps_lines=False, server=OtherRedis)
    real = time.time
    time.time = lambda: (other.scheduler.now + other.redis_ahead_ms) / 1000
    try:
        assert other.run().digest == ours.digest
    finally:
        time.time = real


def test_a_sorted_set_orders_by_score_then_by_name() -> None:
    found = SortedSet({b"b": 1.0, b"a": 1.0, b"c": 0.0})
    found.put(b"c", 2.0)
    assert [member for _, member in found.order] == [b"a", b"b", b"c"]
    assert [member for _, member in found.between(b"(1", b"+inf")] == [b"c"]
    assert [member for _, member in found.between(b"-inf", b"1")] == [b"a", b"b"]
    assert found.rank(b"b") == 1 and found.drop(b"a") and not found.drop(b"a")


def test_what_was_on_disk_is_not_changed_by_what_follows() -> None:
    server = RedisInProcess(lambda: 1_000)
    server.client.hincrby("hash", "field", 1)
    on_disk = server.remember()
    server.client.hincrby("hash", "field", 1)
    for _ in range(2):
        server.go_back(on_disk)
        assert server.client.hincrby("hash", "field", 1) == 2
