"""One budget of false alarms for a whole release, divided over everything that may raise one.

By Boole's inequality the chance that any of several tests errs is at most the sum of theirs,
however they depend on each other. With three holds and the watch afterwards, a probe judged by
errors and by latency, and 1% for all:

    >>> shares = divide(0.01, holds=3, sources=2, watches=True)
    >>> f"{shares.alarm:.5f} {shares.miss:.5f}"
    '0.00125 0.00250'
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shares:
    """The chance that one comparison calls a version bad that is no worse (``alarm``), or good one
    that is worse by what counts (``miss``)."""

    alarm: float
    miss: float


def divide(false_alarms: float, *, holds: int, sources: int, watches: bool) -> Shares:
    """What is worse by one source passes only where that source errs, so ``miss`` is not divided
    over sources."""
    windows = max(1, holds + watches)
    return Shares(false_alarms / windows / max(1, sources), false_alarms / windows)
