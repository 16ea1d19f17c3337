"""What the server must be set to, so that nothing that was acknowledged is lost."""

from __future__ import annotations

import re
from typing import cast

from redis import Redis
from redis.exceptions import ResponseError

from bot.redis_errors import redis_errors

OLDEST_REDIS = (6, 2)
"""ZADD LT, GETDEL, XADD MINID and BLPOP with fractions of a second need Redis 6.2; every Valkey has
them."""


def check_settings(client: Redis) -> tuple[str, ...]:
    """One line for each setting to change, saying what to change; () when all is well. Raises
    StoreUnavailable."""
    with redis_errors():
        server = client.info("server")
        persistence = client.info("persistence")
        memory = client.info("memory")
        cluster = client.info("cluster")
        appendfsync = _setting(client, "appendfsync")
        replicas = online_replicas(client)
    problems = []
    version = str(server.get("redis_version", "0"))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_REDIS:
        problems.append(f"Redis {version} is too old: use Redis 6.2 or later, or Valkey")
    if not persistence.get("aof_enabled"):
        problems.append(
            "Redis keeps no append-only file, so a restart would lose releases: set"
            " `appendonly yes`"
        )
    elif appendfsync == "no":
        problems.append(
            "Redis lets the operating system delay writes: set `appendfsync everysec` (or `always`)"
        )
    policy = memory.get("maxmemory_policy")
    if policy != "noeviction":
        problems.append(
            f"Redis may evict records (maxmemory-policy {policy}): set `maxmemory-policy"
            " noeviction`"
        )
    if cluster.get("cluster_enabled"):
        problems.append(
            "Redis runs as a cluster, which the scripts cannot use: use a single server with"
            " replicas"
        )
    wanted = getattr(client, "replicas", 0)
    if replicas < wanted:
        problems.append(
            f"the primary has {replicas} of {wanted} replicas, and every write waits for them:"
            " start more, or lower `replicas` in REDIS_URL"
        )
    return tuple(problems)


def online_replicas(client: Redis) -> int:
    """The replicas that follow; one that still receives the whole data set does not count yet."""
    replication = client.info("replication")
    return sum(
        1
        for name, one in replication.items()
        if re.fullmatch(r"slave\d+", name) and one["state"] == "online"
    )


def _setting(client: Redis, name: str) -> str:
    """ "" where the service forbids CONFIG."""
    try:
        return str(cast(dict[str, str], client.config_get(name)).get(name, ""))
    except ResponseError:
        return ""
