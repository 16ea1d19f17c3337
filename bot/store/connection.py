"""One client per process and URL, quick to give up: a command has three seconds to be
acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 — redis' own
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 — redis' own
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from bot.ports import StoreUnavailable
from bot.store.replication import ReplicatedRedis, SentinelGroup, is_sentinel_url

PREFIX = "pilothouse:"
DRIVER = DriverInfo()
"""Made once: redis-py reads its own version from the disk for the first connection of each process,
and every job is a process."""
_REFUSALS = (
    "MISCONF",
    "OOM",
    "READONLY",
    "NOREPLICAS",
    "MASTERDOWN",
    "LOADING",
    "CLUSTERDOWN",
    "NOAUTH",
    "WRONGPASS",
)


@cache
def connect(url: str) -> Redis:
    """No connection is opened yet. Safe to share between threads, and across a fork (each process
    opens its own connections)."""
    return open_client(
        url,
        socket_connect_timeout=1.0,
        socket_timeout=2.0,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        client_name="pilothouse",
        driver_info=DRIVER,
    )


def open_client(url: str, **options: Any) -> Redis:
    """A client of its own, for a single server or for the primary that Sentinels name. Raises
    ValueError for no URL of ours."""
    if not is_sentinel_url(url):
        return Redis.from_url(url, **options)
    group = SentinelGroup.parse(url)
    asked = {
        "socket_connect_timeout": 0.5,
        "socket_timeout": 0.5,
        "password": group.sentinel_password or None,
    }
    sentinel = Sentinel(list(group.sentinels), sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    credentials = {"username": group.username or None, "password": group.password or None}
    client: ReplicatedRedis = sentinel.master_for(  # type: ignore[no-untyped-call]
        group.service, redis_class=ReplicatedRedis, db=group.database, **credentials, **options
    )
    client.replicas = group.replicas
    return client


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns a failure of Redis into StoreUnavailable with one line that says what to do; a defect
    of ours stays what it is."""
    try:
        yield
    except RedisError as error:
        line = advice(error)
        if line is None:
            raise
        raise StoreUnavailable(line) from error


def advice(error: RedisError) -> str | None:
    """One clear line for an operator, or None where the error is not about Redis' state."""
    match error:
        case AuthenticationError():
            return "Redis rejected the credentials: check the user and the password in REDIS_URL"
        case TimeoutError():
            return "Redis did not answer in time: check that it is running and not overloaded"
        case ConnectionError():
            return "Redis is unreachable: check that it is running and that REDIS_URL is right"
        case OutOfMemoryError():
            return "Redis is full and refuses writes: raise its maxmemory"
        case ReadOnlyError():
            return "Redis is a read-only replica: point REDIS_URL at the primary"
        case NoPermissionError():
            return "Redis denied a command: allow the user in REDIS_URL all commands on its keys"
        case ResponseError() if str(error).startswith(_REFUSALS):
            return f"Redis refuses writes: {str(error).splitlines()[0][:200]}"
        case _:
            return None
