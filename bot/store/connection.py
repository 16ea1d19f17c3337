"""One client per process and URL, quick to give up: a command has three seconds to be
acknowledged."""

from __future__ import annotations

from functools import cache
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError, Sentinel

from bot.store.patient_connections import PatientRetry, make_patient
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
        retry=PatientRetry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        client_name="pilothouse",
        driver_info=DRIVER,
    )


class _Sentinels(Sentinel):
    def discover_master(self, service_name: str) -> tuple[str, int]:
        """redis-py says which Sentinels failed, and not why."""
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call,no-any-return]
        except MasterNotFoundError as unknown:
            why = [reason for one in self.sentinels if (reason := _why_away(one))]
            if len(why) < len(self.sentinels):
                raise MasterNotFoundError(f"No master found for {service_name!r}") from unknown
            raise MasterNotFoundError(f"No master found - {why[0]}") from unknown


def _why_away(sentinel: Redis) -> str:
    try:
        sentinel.ping()
    except RedisError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def open_client(url: str, **options: Any) -> Redis:
    """A client of its own, for a single server or for the primary that Sentinels name. Raises
    ValueError for no URL of ours."""
    if not is_sentinel_url(url):
        client = Redis.from_url(url, **options)
        make_patient(client)
        return client
    group = SentinelGroup.parse(url)
    asked = {
        "socket_connect_timeout": 0.5,
        "socket_timeout": 0.5,
        "password": group.sentinel_password or None,
        "retry": PatientRetry(NoBackoff(), 0),
        **group.tls,
    }
    sentinel = _Sentinels(list(group.sentinels), sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    for one in sentinel.sentinels:
        make_patient(one)
    credentials = {"username": group.username or None, "password": group.password or None}
    primary: ReplicatedRedis = sentinel.master_for(  # type: ignore[no-untyped-call]
        group.service,
        redis_class=ReplicatedRedis,
        db=group.database,
        **credentials,
        **group.tls,
        **options,
    )
    primary.replicas = group.replicas
    make_patient(primary)
    return primary
