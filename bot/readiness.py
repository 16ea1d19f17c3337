"""Is this process ready? Once it has reached Redis it stays so.

A bot whose Redis is away must stay in its Service, where people get a line that says so. A new one
with a wrong URL or password must never replace it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.patience import patience_of
from bot.ports import StoreUnavailable

log = logging.getLogger(__name__)

REACHED_WITHIN_S = 0.7
"""A probe gets its reply within a second."""
KNOWN_FOR_S = 1.0
"""Anyone may ask: so long does one look at Redis serve all of them."""


@dataclass(frozen=True)
class Ready:
    """What is replied to a probe."""

    is_ready: bool
    is_reached: bool
    text: str


class Readiness:
    """``reach`` raises StoreUnavailable while Redis is away. ``clock`` and ``passes`` are seconds,
    since 1970 and of a clock that only passes."""

    def __init__(
        self,
        reach: Callable[[], object],
        clock: Callable[[], float] = time.time,
        passes: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reach = reach
        self._clock, self._passes = clock, passes
        self._lock = threading.Lock()
        self._known: tuple[float, Ready] | None = None
        self._was_reached = False
        self._away_since = 0.0

    def read(self) -> Ready:
        with self._lock:
            now = self._passes()
            if self._known is None or now - self._known[0] > KNOWN_FOR_S:
                self._known = now, self._look()
            return self._known[1]

    def _look(self) -> Ready:
        began = self._clock()
        try:
            with patience_of(REACHED_WITHIN_S):
                self._reach()
        except StoreUnavailable as away:
            if not self._away_since:
                self._away_since = began
                log.warning("Redis does not answer: %s", away)
            if not self._was_reached:
                return Ready(False, False, f"not ready: {away}")
            since = datetime.fromtimestamp(self._away_since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return Ready(True, False, f"redis: away since {since}: {away}")
        if self._away_since:
            log.warning("Redis answers again")
        self._was_reached, self._away_since = True, 0.0
        return Ready(True, True, "ready")
