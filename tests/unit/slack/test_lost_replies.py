"""What a person was told of a command holds: what Redis comes to after the person has given up does
not happen, and what happened before is recognised."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from bot.operations.context import Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import Pending, Receipt, Refusal, Reply
from bot.operations.requests import Invocation
from bot.patience import patience_of
from bot.ports import WORKER_ALIVE
from bot.releases.facts.people import Person
from bot.store import Leases, RedisReleaseStore, connect
from bot.work_queue import QUERIES, RqWorkQueue
from sandbox.redis_server import EmbeddedRedis
from tests.conftest import eventually
from tests.faults.lossy_redis import LossyRedis
from tests.unit.slack.conftest import CHANNEL

DEPLOY = "deploy hello 2.0.0"
FREEZE = 'freeze hello reason="incident"'


class Hanging:
    """Stops its server right before the call that it is armed with."""

    def __init__(self, inner: Any, call: str, pid: int) -> None:
        self._inner, self._call, self._pid = inner, call, pid

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            os.kill(self._pid, signal.SIGSTOP)
        return getattr(self._inner, name)


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        connect(server.url).set("pilothouse:first_number", 0)
        yield server


def beside(context: Context, url: str) -> Context:
    client = connect(url)
    leases = Leases(client)
    queue = RqWorkQueue(client, wake=leases.wake, push=leases.push)
    made = replace(context, store=RedisReleaseStore(client), queue=queue)
    # The bot is not new: it knows the time of its Redis, which knows the scripts.
    warm = [typed(made, "deploy auth 1.0.0", "warm"), typed(made, FREEZE, "warmer")]
    made.store.ask_to_start("auth", "{}", operation="warm")
    assert [type(one) for one in warm] == [Receipt, Pending]
    client.delete(f"rq:queue:{QUERIES}")
    return made


def typed(context: Context, text: str, key: str) -> Reply:
    asked = Invocation(Person("T0LOCAL", "U0ADMIN"), CHANNEL, text, "/pilothouse", key)
    with patience_of(1.0):
        return handle_command(context, asked)


@pytest.mark.parametrize(
    ("call", "text", "worker_runs"),
    [("create", DEPLOY, False), ("ask_to_start", DEPLOY, True), ("ask", FREEZE, True)],
)
def test_what_was_given_up_never_starts_later(
    context: Context, server: EmbeddedRedis, call: str, text: str, worker_runs: bool
) -> None:
    context = beside(context, server.url)
    if worker_runs:
        context.store.put(WORKER_ALIVE, "1", ttl_ms=60_000)
    hanging = replace(
        context,
        store=Hanging(context.store, call, server.pid),
        queue=Hanging(context.queue, call, server.pid),
    )
    try:
        reply = typed(hanging, text, "command:1")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert isinstance(reply, Refusal) and reply.line.startswith("Redis did not answer"), reply
    assert "Nothing was started" not in reply.hint
    redis = Redis.from_url(server.url)
    assert eventually(lambda: refused_late(redis) == 1), "Redis never came to it"
    assert not context.store.active("hello")
    assert context.store.next_to_start("hello") is None
    assert not redis.llen(f"rq:queue:{QUERIES}")
    again = typed(context, text, "command:2")
    assert isinstance(again, Receipt | Pending)


def refused_late(redis: Redis) -> int:
    return int(redis.info("errorstats").get("errorstat_TOOLATE", {}).get("count", 0))


def test_a_start_whose_replies_were_lost_is_found_again(
    context: Context, server: EmbeddedRedis
) -> None:
    with LossyRedis(server.port) as lossy:
        context = beside(context, lossy.url)
        unsure = replace(context, store=Losing(context.store, lossy))
        reply = typed(unsure, DEPLOY, "command:1")
        assert isinstance(reply, Refusal) and "may have been taken" in reply.hint, reply
        again = typed(context, DEPLOY, "command:2")
        assert isinstance(again, Receipt) and not again.fresh and again.release.id == "hello-1"


class Losing:
    """Its creation takes effect, unknown to its sender."""

    def __init__(self, inner: Any, lossy: LossyRedis) -> None:
        self._inner, self._lossy = inner, lossy

    def __getattr__(self, name: str) -> Any:
        if name == "create":
            self._lossy.lose(100)
            return self._create
        return getattr(self._inner, name)

    def _create(self, *arguments: Any, **named: Any) -> Any:
        try:
            return self._inner.create(*arguments, **named)
        finally:
            self._lossy.lose(-100 + self._lossy.lost)
