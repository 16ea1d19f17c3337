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
from jobs.supervisor import is_alive

log = logging.getLogger(__name__)

LONGEST_WAIT_MS = 1_000
RETRY_S = 0.5
ORPHANS_EVERY_S = 1.0  # a job whose worker died with it has nobody else to end its lease


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
    leases: Leases, queue: RqWorkQueue, stop: StopSignal, beat: Callable[[], None] = lambda: None
) -> None:
    """Until ``stop()``. Waits for a Redis that is unavailable: nothing is lost meanwhile."""
    away = False
    checked_at = 0.0
    while not stop():
        beat()
        try:
            if time.monotonic() - checked_at > ORPHANS_EVERY_S:
                checked_at = time.monotonic()
                leases.expedite(is_alive, waiting=False)
                leases.beat()
            wait_ms = tick(leases, queue)
            if wait_ms:
                with stop.idle():
                    leases.wait(wait_ms)
        except StoreUnavailable as error:
            if not away:
                log.warning("%s; retrying", error)
            away = True
            time.sleep(RETRY_S)
        else:
            if away:
                log.warning("Redis is available again")
            away = False
