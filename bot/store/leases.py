"""The due set and the leases: at a time or earlier, and never twice at once.

``due`` says when an id wants to run, ``leased`` until when a job may be running it. A wake touches
only ``due``, so one that comes while its job runs is honoured after it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from redis import Redis

from bot.ports import WORKER_ALIVE, Budget, StoreUnavailable
from bot.redis_errors import redis_errors
from bot.runtime import new_id
from bot.store.connection import PREFIX
from bot.store.scripts import Scripts
from bot.tally import Tally

# from the claim until the job's first act; a job that has left its queue unbegun is enqueued once
# more
QUEUED_LEASE_MS = 10_000
RUNNING_LEASE_MS = 20_000  # from the job's first act; longer than a job may take
CLAIMS_AT_ONCE = 100
Fields = Mapping[str, str | bytes | int]
REPORTER = "reports the metrics of all"
REPORTER_MS = 60_000
LEAST_STANDS_MS = 60_000
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

    def __init__(
        self, client: Redis, *, prefix: str = PREFIX, new_id: Callable[[], str] = new_id
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._scripts = Scripts(client, prefix)
        self._new_id = new_id
        self._nonce = new_id()[:8]

    def wake(self, wake_id: str, at: int) -> None:
        """At ``at`` (milliseconds) or earlier; idempotent, the earliest wins."""
        self._scripts.run("wake", wake_id, at)

    def push(self, queues: str, queue: str, job: str, job_id: str, fields: Fields) -> None:
        """A job of RQ goes into its queue, once, and not after its sender has given up. ``queues``,
        ``queue`` and ``job`` are RQ's keys."""
        pairs = (part for pair in fields.items() for part in pair)
        self._scripts.run("enqueue", queues, queue, job, job_id, *pairs)

    def claim(
        self,
        *,
        limit: int = CLAIMS_AT_ONCE,
        lease_ms: int = QUEUED_LEASE_MS,
        foremost: Callable[[Sequence[str]], Mapping[str, str]] = lambda ids: dict.fromkeys(ids, ""),
    ) -> tuple[tuple[Claim, ...], int | None]:
        """What is due and free, now leased; and the milliseconds until something else comes due or
        a lease runs out.

        ``foremost`` is called only with wake ids whose lease ran out and whose job no worker has
        begun: for each the token of the foremost job in its queue, "" for an empty one. Without it
        every such job counts as lost.
        """
        unclear, claims, later = self._claim(limit, lease_ms, "unknown")
        if unclear:
            _, more, later = self._claim(limit, lease_ms, json.dumps(dict(foremost(unclear))))
            claims = (*claims, *more)
        return claims, later

    def _claim(
        self, limit: int, lease_ms: int, foremost: str
    ) -> tuple[tuple[str, ...], tuple[Claim, ...], int | None]:
        answer = cast(
            list[bytes],
            self._scripts.run("claim", self._nonce, lease_ms, limit, self._new_id(), foremost),
        )
        later, behind = int(answer[1]), 3 + int(answer[2])
        pairs = zip(answer[behind::2], answer[behind + 1 :: 2], strict=True)
        return (
            tuple(wake_id.decode() for wake_id in answer[3:behind]),
            tuple(Claim(i.decode(), t.decode()) for i, t in pairs),
            None if later < 0 else later,
        )

    def beat(self) -> int:
        """A ticker runs: what is woken is done soon. Where Redis' clock was set back since the last
        beat, what is planned and leased moves along. Returns by how many milliseconds."""
        return int(self._scripts.run("beat", WORKER_ALIVE, ALIVE_MS, RUNNING_LEASE_MS))

    def wait(self, at_most_ms: int) -> None:
        """Until something is woken, or the time is over."""
        with redis_errors():
            self._client.blpop([self._prefix + "nudge"], timeout=max(0.001, at_most_ms / 1000))

    def begin(self, wake_id: str, token: str, *, lease_ms: int = RUNNING_LEASE_MS) -> bool:
        """A job's first act: whether it may run. The lease counts from here."""
        return bool(self._scripts.run("begin", wake_id, token, runner(self._nonce), lease_ms))

    def begin_at_once(self, wake_id: str, *, lease_ms: int = RUNNING_LEASE_MS) -> str:
        """Claims and begins a planned wake whose time has not come. Returns its token, "" where it
        is not planned or another has claimed it."""
        answer: bytes = self._scripts.run(
            "begin_at_once", wake_id, self._nonce, runner(self._nonce), lease_ms
        )
        return answer.decode()

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
        ``leases_taken_over``, ``jobs_refused:<queue>``; what ends of releases counted (see
        bot.store.outcomes); and what processes reported (see bot.tally)."""
        with redis_errors():
            found = cast(dict[bytes, bytes], self._client.hgetall(self._prefix + "counters"))
        return {name.decode(): int(value) for name, value in found.items()}

    def is_reporter(self, who: str) -> bool:
        """Whether ``who`` reports the figures that all share. One does; when it has been silent for
        a minute, the next to ask takes over."""
        key = f"{self._prefix}passing:{REPORTER}"
        with redis_errors():
            if self._client.set(key, who, px=REPORTER_MS, nx=True):
                return True
            if self._client.get(key) != who.encode():
                return False
            self._client.set(key, who, px=REPORTER_MS)
        return True

    def count(self, name: str) -> None:
        """One more in ``counters``."""
        self.add({name: 1})

    def add(self, counts: Mapping[str, int]) -> None:
        """To ``counters``."""
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            for name, number in counts.items():
                pipeline.hincrby(self._prefix + "counters", name, number)
            pipeline.execute()

    def report(self, tally: Tally) -> None:
        """What a process counted and noted; where Redis is away its counts are reported later."""
        counts, notes, least = tally.take(), tally.take_notes(), tally.take_least()
        if not (counts or notes or least):
            return
        try:
            with redis_errors():
                self._report(counts, notes, least)
        except StoreUnavailable:
            tally.add(counts)  # twice rather than never, where Redis took them

    def _report(
        self, counts: Mapping[str, int], notes: Mapping[str, int], least: Mapping[str, int]
    ) -> None:
        """``notes``: for how many milliseconds something stands, 0 where it does no longer.
        ``least``: the lowest of any process within a minute is kept."""
        pipeline = self._client.pipeline(transaction=False)
        for name, number in counts.items():
            pipeline.hincrby(self._prefix + "counters", name, number)
        for name, for_ms in notes.items():
            key = f"{self._prefix}passing:{name}"
            pipeline.set(key, 1, px=for_ms) if for_ms else pipeline.delete(key)
        for name, value in least.items():
            key = f"{self._prefix}passing:{name}"
            pipeline.set(key, value, px=LEAST_STANDS_MS, nx=True)
            pipeline.get(key)
        kept = cast(list[bytes | None], pipeline.execute())[len(counts) + len(notes) + 1 :: 2]
        for (name, value), known in zip(least.items(), kept, strict=True):
            if int(known or value) > value:
                self._client.set(f"{self._prefix}passing:{name}", value, px=LEAST_STANDS_MS)

    def noted(self, names: Sequence[str]) -> tuple[int | None, ...]:
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            for name in names:
                pipeline.get(f"{self._prefix}passing:{name}")
            found = cast(list[bytes | None], pipeline.execute())
        return tuple(None if one is None else int(one) for one in found)

    def left_in(self, budget: Budget) -> tuple[float, int]:
        """(calls that may be made now, callers that wait)"""
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.hmget(f"{self._prefix}budget:{budget.name}", ["level", "at", "closed_until"])
            pipeline.zcard(f"{self._prefix}budget-queue:{budget.name}")
            pipeline.time()
            (level, at, closed_until), waiting, (seconds, microseconds) = pipeline.execute()
        now = seconds * 1000 + microseconds // 1000
        if level is None:
            return float(budget.burst), waiting
        if now < int(closed_until or 0):
            return 0.0, waiting
        since = max(0, now - int(at)) * budget.per_minute / 60_000
        return min(float(budget.burst), max(0.0, float(level) + since)), waiting


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
