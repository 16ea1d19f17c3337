"""The due set and the leases: at a time or earlier, and never twice at once.

``due`` says when an id wants to run, ``leased`` until when a job may be running it. A wake touches
only ``due``, so one that comes while its job runs is honoured after it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import uuid4

from redis import Redis

from bot.ports import WORKER_ALIVE
from bot.redis_errors import redis_errors
from bot.store.connection import PREFIX
from bot.store.scripts import Scripts

# from the claim until the job's first act; a job that has left its queue unbegun is enqueued once
# more
QUEUED_LEASE_MS = 10_000
RUNNING_LEASE_MS = 20_000  # from the job's first act; longer than a job may take
CLAIMS_AT_ONCE = 100
ALIVE_MS = 5_000  # several rounds of a ticker


@dataclass(frozen=True)
class Claim:
    """An id whose time has come; ``token`` is what its job must show."""

    wake_id: str
    token: str


@dataclass(frozen=True)
class Backlog:
    """For metrics. ``overdue_ms`` is how late the earliest due id is."""

    due: int
    leased: int
    active: int
    overdue_ms: int


class Leases:
    """Raises StoreUnavailable."""

    def __init__(self, client: Redis, *, prefix: str = PREFIX) -> None:
        self._client = client
        self._prefix = prefix
        self._scripts = Scripts(client, prefix)
        self._nonce = uuid4().hex[:8]

    def wake(self, wake_id: str, at: int) -> None:
        """At ``at`` (milliseconds) or earlier; idempotent, the earliest wins."""
        self._scripts.run("wake", wake_id, at)

    def claim(
        self,
        *,
        limit: int = CLAIMS_AT_ONCE,
        lease_ms: int = QUEUED_LEASE_MS,
        foremost: Callable[[], Mapping[str, str]] = dict,
    ) -> tuple[tuple[Claim, ...], int | None]:
        """What is due and free, now leased; and the milliseconds until something else comes due or
        a lease runs out.

        ``foremost`` is called only when a lease ran out whose job no worker has begun: the token of
        the foremost job that waits for a worker, by the kind of its wake id. Without it every such
        job counts as lost.
        """
        unclear, claims, later = self._claim(limit, lease_ms, "unknown")
        if unclear:
            _, more, later = self._claim(limit, lease_ms, json.dumps(dict(foremost())))
            claims = (*claims, *more)
        return claims, later

    def _claim(
        self, limit: int, lease_ms: int, foremost: str
    ) -> tuple[int, tuple[Claim, ...], int | None]:
        answer = cast(
            list[bytes],
            self._scripts.run("claim", self._nonce, lease_ms, limit, uuid4().hex, foremost),
        )
        later, unclear = int(answer[1]), int(answer[2])
        pairs = zip(answer[3::2], answer[4::2], strict=True)
        return (
            unclear,
            tuple(Claim(i.decode(), t.decode()) for i, t in pairs),
            None if later < 0 else later,
        )

    def beat(self) -> None:
        """A ticker runs: what is woken is done soon."""
        with redis_errors():
            self._client.set(f"{self._prefix}passing:{WORKER_ALIVE}", "1", px=ALIVE_MS)

    def wait(self, at_most_ms: int) -> None:
        """Until something is woken, or the time is over."""
        with redis_errors():
            self._client.blpop([self._prefix + "nudge"], timeout=max(0.001, at_most_ms / 1000))

    def begin(self, wake_id: str, token: str, *, lease_ms: int = RUNNING_LEASE_MS) -> bool:
        """A job's first act: whether it may run. The lease counts from here."""
        return bool(self._scripts.run("begin", wake_id, token, runner(self._nonce), lease_ms))

    def finish(self, wake_id: str, token: str, next_wake: int | None, *, took_ms: int = 0) -> bool:
        """A job's last act. False when the lease was lost meanwhile: then nothing happens."""
        at = "" if next_wake is None else next_wake
        return bool(self._scripts.run("finish", wake_id, token, at, "done", took_ms))

    def fail(self, wake_id: str, token: str, *, took_ms: int = 0) -> bool:
        """The job raised: its lease ends now and it comes again soon, later each time."""
        return bool(self._scripts.run("finish", wake_id, token, "", "failed", took_ms))

    def expedite(self, is_alive: Callable[[int], bool], *, waiting: bool) -> int:
        """Leases of this host's jobs whose process is dead end now; with ``waiting`` those of jobs
        that no worker has begun too (a dead worker may have taken one from the queue). Returns how
        many."""
        with redis_errors():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.zrange(self._prefix + "leased", 0, -1)
            pipeline.hgetall(self._prefix + "begun")
            leased, begun = pipeline.execute()
        ended: list[str] = []
        for wake_id in leased:
            by = begun.get(wake_id, b"").decode()
            host, _, rest = by.partition("|")
            if (waiting and not by) or (
                by and host == HOST and not is_alive(int(rest.partition("|")[0]))
            ):
                ended += [wake_id.decode(), by]
        return int(self._scripts.run("expedite", *ended)) if ended else 0

    def backlog(self) -> Backlog:
        with redis_errors():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.zcard(self._prefix + "due")
            pipeline.zcard(self._prefix + "leased")
            pipeline.zcard(self._prefix + "active")
            pipeline.zrange(self._prefix + "due", 0, 0, withscores=True)
            pipeline.time()
            due, leased, active, first, (seconds, microseconds) = pipeline.execute()
        now = seconds * 1000 + microseconds // 1000
        return Backlog(due, leased, active, max(0, now - int(first[0][1])) if first else 0)

    def counters(self) -> dict[str, int]:
        """What jobs counted: ``jobs:<kind>:done|failed``, ``job_ms:<kind>``,
        ``leases_taken_over``, ``jobs_refused:<queue>``."""
        with redis_errors():
            found = cast(dict[bytes, bytes], self._client.hgetall(self._prefix + "counters"))
        return {name.decode(): int(value) for name, value in found.items()}

    def count(self, name: str) -> None:
        """One more in ``counters``."""
        with redis_errors():
            self._client.hincrby(self._prefix + "counters", name, 1)


def name_of_host(proc: Path = Path("/proc")) -> str:
    """Where a process id means something: the machine and its pid namespace. Two machines may share
    a name, and outside containers the namespace's number, but never a boot."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        pids = (proc / "self/ns/pid").readlink().name
    except OSError:
        boot = pids = ""
    return f"{socket.gethostname()}/{boot}/{pids}"


HOST = name_of_host()


def runner(nonce: str) -> str:
    """Names a running job: the host (and pid namespace), its process, and the object that speaks
    for it."""
    return f"{HOST}|{os.getpid()}|{nonce}"
