"""One client per process and URL, quick to give up: a command has three seconds to be
acknowledged."""

from __future__ import annotations

from functools import cache
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry
from redis.sentinel import Sentinel

from bot.store.replication import ReplicatedRedis, SentinelGroup, is_sentinel_url

PREFIX = "pilothouse:"
DRIVER = DriverInfo()
"""Made once: redis-py reads its own version from the disk for the first connection of each process,
and every job is a process."""


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
