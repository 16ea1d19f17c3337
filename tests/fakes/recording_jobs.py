"""Jobs for the tests of the worker itself: each notes in Redis that it ran, and does what its id
says."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from redis import Redis

from jobs.leasing import lease
from jobs.resources import redis_url
from jobs.worker import QUERIES_GROW_BY_BYTES


def _client() -> Redis:
    return Redis.from_url(redis_url(), decode_responses=True)


def note(wake_id: str, token: str) -> None:
    """``release:<what>``: crash kills its own process the first time and poison every time, fail
    raises the first time, slow sleeps 0.3 s, orphan half a minute the first time."""
    with lease(wake_id, token) as held:
        if not held.granted:
            return
        client = _client()
        running = client.incr(f"running:{wake_id}")
        client.rpush(f"ran:{wake_id}", f"{time.time():.6f} {os.getpid()} {running}")
        times = client.llen(f"ran:{wake_id}")
        what = held.subject.partition("-")[0]
        if what == "poison" or (what == "crash" and times == 1):
            client.decr(f"running:{wake_id}")
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "fail" and times == 1:
            client.decr(f"running:{wake_id}")
            raise RuntimeError("the first time fails")
        if what == "slow":
            time.sleep(0.3)
        if what == "orphan" and times == 1:
            time.sleep(30)
        client.decr(f"running:{wake_id}")


def answer(query: dict[str, Any]) -> None:
    if query["text"] == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if query["text"] == "large":
        bytearray(b"x") * (QUERIES_GROW_BY_BYTES + 2**20)
    _client().rpush("answered", str(query["text"]))
