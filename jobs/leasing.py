"""A job's first and last act: to check and renew its lease, and to end it with the time of the next
wake."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bot.store import Leases, connect
from jobs.resources import redis_url


@dataclass
class Lease:
    """``subject`` is the wake id's part after the colon; ``next_wake`` (milliseconds of Redis TIME)
    is the job's to set."""

    subject: str
    granted: bool
    next_wake: int | None = None


@contextmanager
def lease(wake_id: str, token: str) -> Iterator[Lease]:
    """Not ``granted``: another worker has it, do nothing. A job that raises (its time-out too) is
    retried soon; the error propagates."""
    leases = Leases(connect(redis_url()))
    held = Lease(wake_id.partition(":")[2], leases.begin(wake_id, token))
    began = time.monotonic()
    done = False
    try:
        yield held
        done = True
    finally:
        took_ms = round((time.monotonic() - began) * 1000)
        if held.granted and done:
            leases.finish(wake_id, token, held.next_wake, took_ms=took_ms)
        elif held.granted:
            leases.fail(wake_id, token, took_ms=took_ms)
