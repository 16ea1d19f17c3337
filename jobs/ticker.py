"""Moves what is due to the queues. Any number of tickers may run; between them each id is claimed
once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bot.ports import StoreUnavailable
from bot.stop_signal import StopSignal
from bot.store import Leases
from bot.work_queue import RqWorkQueue
from jobs.redis_back import Absence
from jobs.supervisor import is_alive

log = logging.getLogger(__name__)

LONGEST_WAIT_MS = 1_000
RESCUE_EVERY_S = 5.0  # a query moves at the second look
ORPHANS_EVERY_S = 1.0  # a job whose worker died with it has nobody else to end its lease
SEAL_EVERY_S = 0.25


def tick(leases: Leases, queue: RqWorkQueue) -> int:
    """One round. Returns the milliseconds to wait for something to be woken."""
    claims, later = leases.claim(foremost=queue.foremost)
    for claim in claims:
        try:
            queue.enqueue_wake(claim.wake_id, claim.token)
        except KeyError:
            log.error("dropped the wake id %s: no job handles it", claim.wake_id)
            leases.begin(claim.wake_id, claim.token)
            leases.finish(claim.wake_id, claim.token, None)
    if claims:
        return 0
    return LONGEST_WAIT_MS if later is None else min(later, LONGEST_WAIT_MS)


def run_ticker(
    leases: Leases,
    queue: RqWorkQueue,
    stop: StopSignal,
    beat: Callable[[], None] = lambda: None,
    seal: Callable[[], object] = lambda: None,
) -> None:
    """Until ``stop()``. Waits for a Redis that is unavailable: nothing is lost meanwhile.

    ``seal`` chains what was recorded since: the wait for the next wake is at most a second.
    """
    absence = Absence()
    checked_at, rescued_at, sealed_at = 0.0, time.monotonic(), 0.0
    while not stop():
        beat()
        try:
            if time.monotonic() - checked_at > ORPHANS_EVERY_S:
                checked_at = time.monotonic()
                leases.expedite(is_alive, waiting=False)
                if back_ms := leases.beat():
                    log.warning(
                        "Redis' clock went back by %d s; wakes moved along", back_ms // 1000
                    )
            if time.monotonic() - rescued_at > RESCUE_EVERY_S:
                rescued_at = time.monotonic()
                if moved := queue.rescue():
                    log.warning("%d queries of clusters without workers moved on", moved)
            wait_ms = tick(leases, queue)
            if time.monotonic() - sealed_at > SEAL_EVERY_S:
                sealed_at = time.monotonic()
                seal()
            if wait_ms:
                with stop.idle():
                    leases.wait(wait_ms)
        except StoreUnavailable as error:
            absence.wait(error)
        else:
            absence.is_over()
