"""How much one process asks of one API server: so many requests a second, and none for some seconds
after it failed several times in a row.

Neither holds up a way back: what rolls a release back, or undoes one, is sent at once, and an
answer to it ends the rest of the pause for all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from bot.ports import ClusterUnreachable
from bot.request_id import current_work
from bot.tally import BUDGET_LEFT, KUBERNETES_BURST, LEFT_ALONE, TALLY, Tally

log = logging.getLogger(__name__)

FAILURES = 3
"""In a row. Reads that were sent side by side and fail together count once."""
LEFT_ALONE_S = 5.0
SHOWN_MS = 15_000
"""How long a metric shows it: until the cluster answers, or until the next failure is reported."""
PER_S = 100
"""A tick sends about ten requests, `/pods` of a hundred apps some hundred. client-go takes 5 and 10
by default, for one controller; several processes together stay below an API server's own limits."""
BURST = KUBERNETES_BURST


class Restraint:
    """Safe for threads."""

    def __init__(
        self,
        cluster: str,
        *,
        per_s: float = PER_S,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        tally: Tally = TALLY,
    ) -> None:
        self._cluster = cluster
        self._per_s, self._burst = per_s, burst
        self._clock, self._sleep, self._tally = clock, sleep, tally
        self._lock = threading.Lock()
        self._level, self._at = float(burst), clock()
        self._failures = 0
        self._failed_at = float("-inf")
        self._ends_at = float("-inf")  # of the pause
        self._away: ClusterUnreachable | None = None  # while the cluster is left alone

    def admit(self) -> None:
        """Before a request. Waits for the budget; raises ClusterUnreachable in a pause."""
        if current_work().is_way_back:
            return
        away = self._away
        if away is not None and self._clock() < self._ends_at:
            raise ClusterUnreachable(away.why, away.retry_after_ms)
        wait_s = self._book()
        if wait_s > 0:
            waited = {f"kubernetes_waits:{self._cluster}": 1}
            self._tally.add(
                {**waited, f"kubernetes_waited_ms:{self._cluster}": round(wait_s * 1e3)}
            )
            self._sleep(wait_s)

    def _book(self) -> float:
        """Seconds until this request's turn."""
        with self._lock:
            now = self._clock()
            level = self._level + (now - self._at) * self._per_s
            self._level, self._at = min(self._burst, level) - 1, now
            left = self._level
        self._tally.note_least(f"{BUDGET_LEFT} {self._cluster}", max(0, int(left)))
        return max(0.0, -left / self._per_s)

    def answered(self) -> None:
        """Whatever the answer is."""
        if not self._failures:
            return
        with self._lock:
            was_away, self._away, self._failures = self._away, None, 0
        if was_away is not None:
            self._tally.note(f"{LEFT_ALONE} {self._cluster}", 0)
            log.info("cluster %s answers again", self._cluster)

    def failed(self, began: float, away: ClusterUnreachable) -> None:
        """``began``: when the request that got no answer was sent."""
        with self._lock:
            if began < self._failed_at:
                return
            self._failed_at = self._clock()
            self._failures += 1
            if self._failures < FAILURES:
                return
            was_away, self._away = self._away, away
            self._ends_at = self._failed_at + LEFT_ALONE_S
        self._tally.note(f"{LEFT_ALONE} {self._cluster}", SHOWN_MS)
        if was_away is None:
            log.warning(
                "cluster %s failed %d times in a row: %s. It is left alone for %g s at a time",
                self._cluster,
                FAILURES,
                away.why,
                LEFT_ALONE_S,
            )
