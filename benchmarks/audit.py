"""What the audit costs: verifying 100,000 entries, and sealing those of a release. Baseline of the
second: the processor time of the worker for that release."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from redis import Redis

from benchmarks.costs import READY_AFTER_S, cpu_s, demo, release
from benchmarks.rows import Row, percentile
from bot.audit import find
from bot.ports import AuditLine
from bot.store import RedisReleaseStore, connect
from bot.store.audit_entries import NO_STAMP, dump_entry
from bot.store.connection import PREFIX
from sandbox.main import run_sandbox
from sandbox.redis_server import EmbeddedRedis

ENTRIES = 100_000
VERIFY_WITHIN_S = 5.0
RELEASES, SEALS = 3, 200
MOST_SHARE = 1.0  # percent of a release
AT_ONCE = 1_000


def run() -> list[Row]:
    entries, release_s = _cost_of_a_release()
    with EmbeddedRedis() as server:
        seal_s = _seals(connect(server.url), entries)
    with EmbeddedRedis() as server:
        verify_s = _verifies(connect(server.url))
    share = seal_s / release_s * 100
    of_release = f"{entries} entries of a rolling release, median of {SEALS} seals, worker's CPU"
    sealed = f"sealing a release's entries, of its {release_s * 1000:.0f} ms"
    return [
        Row(
            f"audit verify, {ENTRIES:,} entries",
            "s",
            verify_s,
            f"<= {VERIFY_WITHIN_S:.0f} s",
            verify_s <= VERIFY_WITHIN_S,
            None,
            "with the words beside them, one head as witness",
        ),
        Row(sealed, "%", share, f"<= {MOST_SHARE:.0f}%", share <= MOST_SHARE, None, of_release),
    ]


def _cost_of_a_release() -> tuple[int, float]:
    """(entries that it writes, seconds of processor time of its worker)"""
    with (
        tempfile.TemporaryDirectory() as folder,
        run_sandbox(demo=demo(Path(folder)), ready_after=READY_AFTER_S, rate_scale=0) as sandbox,
    ):
        store = RedisReleaseStore(connect(sandbox.redis.url))
        worker = sandbox.part("worker").process.pid
        release(sandbox, "1.9.0", "rolling")  # the first pays for what is read once
        before, used = store.trail.state().number, cpu_s(worker)
        for number in range(RELEASES):
            release(sandbox, f"2.{number}.0", "rolling")
        written = store.trail.state().number - before
        return round(written / RELEASES), (cpu_s(worker) - used) / RELEASES


def _seals(client: Redis, entries: int) -> float:
    """Seconds of processor time, as the release's own: others may run beside."""
    store, took = RedisReleaseStore(client), []
    for seal in range(SEALS):
        for number in range(entries):
            store.write_audit(_line(number), operation=f"{seal}:{number}")
        took.append(_seconds(store.seal_audit, time.process_time))
    return percentile(took, 0.5)


def _verifies(client: Redis) -> float:
    fill(client, ENTRIES)
    store = RedisReleaseStore(client)
    while store.seal_audit() is not None:
        pass
    witness = store.audit_head()
    found = find(store.trail, [witness])
    if witness.number != ENTRIES or found.findings:
        raise RuntimeError(f"{witness.number} entries are sealed; {found.findings[:3]}")
    return percentile([_seconds(partial(find, store.trail, [witness])) for _ in range(3)], 0.5)


def fill(client: Redis, entries: int) -> None:
    """As the script writes them, in fewer calls."""
    for first in range(1, entries + 1, AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, min(first + AT_ONCE, entries + 1)):
            one = dump_entry(_line(number), f"{number:032}", NO_STAMP)
            about = f"{number} {one.sha} 1 hello-42"
            pipeline.xadd(f"{PREFIX}audit", {"about": about, "line": one.line})
            pipeline.hset(f"{PREFIX}audit-words", str(number), one.words)
        pipeline.hset(f"{PREFIX}audit-state", "number", str(min(first + AT_ONCE - 1, entries)))
        pipeline.execute()


def _line(number: int) -> AuditLine:
    text = f'deploy hello 2.0.{number} canary steps=20,50 hold=2m reason="as planned"'
    return AuditLine(
        1_796_000_000_000,
        "hello-42",
        "hello",
        "allowed deploy",
        text,
        "U0DEV1",
        "0123456789ab",
        name="Dana Developer",
        team="T0LOCAL",
        roles="deployer,viewer",
        rule="role",
        channel="C0RELEASES",
        path="slash",
    )


def _seconds(act: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    act()
    return clock() - began
