"""What is left in the cluster and in Redis when nothing runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from redis import Redis

Json = dict[str, Any]
KEPT_BY_SYSTEM = (
    "clock",
    "counters",
    "counter",
    "first_number",
    "order",
    "lease",
    "ticket",
    "audit",
    "audit-words",
    "audit-state",
    "heads-wanted",
    "refusals",
    "recent",
    "named",
    "nudge",
    "due",
    "leased",
    "tokens",
    "begun",
    "failures",
)
KEPT_BY_APP = (
    "recent",
    "final",
    "audit",
    "durations",
    "verdicts",
    "verdict-order",
    "healthy",
    "templates",
    "release",
)
WORK = re.compile(r"(release|deliver|noticed):")


def in_cluster(names: Sequence[str], items: Sequence[Json]) -> Iterator[str]:
    for item in items:
        name = item["metadata"]["name"]
        if name not in (*names, "kubernetes"):
            yield f"{name} outlived its release"
        notes = [
            key
            for key in item["metadata"].get("annotations") or {}
            if key.startswith("pilothouse.dev/")
        ]
        if notes:
            yield f"{name} still carries {', '.join(notes)}"


def waiting_work(redis: Redis) -> Iterator[str]:
    """Ticks and deliveries still to come; a job that died after its release was over runs once more
    and finds nothing to do."""
    for name in ("due", "leased"):
        members = cast(list[bytes], redis.zrange(f"pilothouse:{name}", 0, -1))
        yield from (
            f"{one.decode()} is still in {name}" for one in members if WORK.match(one.decode())
        )


def in_redis(redis: Redis) -> Iterator[str]:
    """Locks, leases, plans and indexes of finished releases, and keys that nothing bounds or
    expires."""
    for lock, owner in cast(dict[bytes, bytes], redis.hgetall("pilothouse:lock-owner")).items():
        yield f"{lock.decode()} is held by {owner.decode()}"
    yield from waiting_work(redis)
    for name in ("tokens", "begun", "failures"):
        fields = cast(list[bytes], redis.hkeys(f"pilothouse:{name}"))
        yield from (
            f"{one.decode()} is still in {name}" for one in fields if WORK.match(one.decode())
        )
    for key in cast(list[bytes], list(redis.scan_iter("pilothouse:*", count=1000))):
        name = key.decode().removeprefix("pilothouse:")
        kind = name.partition(":")[0]
        bounded = name in KEPT_BY_SYSTEM or (":" in name and kind in KEPT_BY_APP)
        if not bounded and redis.pttl(key) == -1:
            yield f"{name} stays in Redis for ever"
