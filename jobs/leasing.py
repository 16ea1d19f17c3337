"""A job's first and last act: to check and renew its lease, and to end it with the time of the next
wake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bot.ports import Runtime
from bot.runtime import SystemRuntime
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
    with hold(Leases(connect(redis_url())), SystemRuntime(), wake_id, token) as held:
        yield held


@contextmanager
def lease_at_once(wake_id: str) -> Iterator[Lease]:
    """Of a wake that no ticker has claimed: its work follows in the same job."""
    with hold_at_once(Leases(connect(redis_url())), SystemRuntime(), wake_id) as held:
        yield held


@contextmanager
def hold(leases: Leases, runtime: Runtime, wake_id: str, token: str) -> Iterator[Lease]:
    """See ``lease``."""
    begun = token if leases.begin(wake_id, token) else ""
    with _held(leases, runtime, wake_id, begun) as held:
        yield held


@contextmanager
def hold_at_once(leases: Leases, runtime: Runtime, wake_id: str) -> Iterator[Lease]:
    """See ``lease_at_once``."""
    with _held(leases, runtime, wake_id, leases.begin_at_once(wake_id)) as held:
        yield held


@contextmanager
def _held(leases: Leases, runtime: Runtime, wake_id: str, token: str) -> Iterator[Lease]:
    """``token``: "" where the lease is another's."""
    held = Lease(wake_id.partition(":")[2], bool(token))
    began = runtime.monotonic()
    done = False
    try:
        yield held
        done = True
    finally:
        took_ms = round((runtime.monotonic() - began) * 1000)
        if held.granted and done:
            leases.finish(wake_id, token, held.next_wake, took_ms=took_ms)
        elif held.granted:
            leases.fail(wake_id, token, took_ms=took_ms)
