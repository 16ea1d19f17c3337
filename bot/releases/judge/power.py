"""How many requests it takes to notice a worsening, and to exclude it: what a plan can say before
anything was asked.

By the judge's own evidence on counts: in four of five releases at least this much is seen. Requests
are taken as independent and both sides as steady; bursts and pods that differ need more.

    >>> needed = Needed(alarm=0.00125, miss=0.0025)
    >>> needed.to_notice(0.05), needed.to_exclude(0.05)
    (316, 134)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, lgamma, log

from bot.releases.judge.cells import Interval, Tally
from bot.releases.judge.e_values import log_e_within, log_e_worse

UNLUCKY = 0.2
MOST = 1_000_000


@dataclass(frozen=True)
class Needed:
    """Requests of the candidate where stable has ``stable_per_candidate`` times as many and fails
    by ``base_rate``."""

    alarm: float
    miss: float
    base_rate: float = 0.0
    stable_per_candidate: float = 1.0

    def to_notice(self, worsening: float) -> int | None:
        """Where half of it is already what counts. None: more than a million."""

        def suffices(requests: int) -> bool:
            rate = min(1.0, self.base_rate + worsening)
            failures = requests - quantile(requests, 1 - rate, 1 - UNLUCKY)
            counts = self._counts(requests, failures)
            return min(log_e_worse(one, worsening / 2) for one in counts) >= -log(self.alarm)

        return _first(suffices)

    def to_exclude(self, worsening: float) -> int | None:
        """Of a candidate that is no worse. None: more than a million."""

        def suffices(requests: int) -> bool:
            failures = quantile(requests, self.base_rate, 1 - UNLUCKY)
            counts = self._counts(requests, failures)
            return min(log_e_within(one, worsening) for one in counts) >= -log(self.miss)

        return _first(suffices)

    def _counts(self, requests: int, failures: int) -> tuple[tuple[Interval, ...], ...]:
        """Beside a stable that fails seldom, and often, by chance."""
        stable = round(requests * self.stable_per_candidate)
        candidate = Tally(requests, failures)
        return tuple(
            (Interval(0, candidate, Tally(stable, quantile(stable, self.base_rate, share))),)
            for share in (UNLUCKY, 1 - UNLUCKY)
        )


def _first(suffices: Callable[[int], bool]) -> int | None:
    high = 1
    while not suffices(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def quantile(requests: int, rate: float, share: float) -> int:
    """The smallest number of failures that at most so many have, in ``share`` of all cases.

    >>> quantile(10, 0.5, 0.5), quantile(1000, 0.01, 0.8), quantile(7, 1.0, 0.8)
    (5, 13, 7)
    """
    if rate <= 0 or rate >= 1:
        return requests if rate >= 1 else 0
    total, failures = 0.0, -1
    while total < share and failures < requests:
        failures += 1
        total += exp(
            lgamma(requests + 1)
            - lgamma(failures + 1)
            - lgamma(requests - failures + 1)
            + failures * log(rate)
            + (requests - failures) * log(1 - rate)
        )
    return failures
