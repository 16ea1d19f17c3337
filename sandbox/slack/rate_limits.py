"""Slack's rate limits: a budget per method and workspace, and one per channel for posting.

Slack publishes tiers as "N+ per minute" with short bursts allowed, and about one message a second
for each channel. Here each budget is a bucket that refills evenly at the published rate and holds a
small burst; a refused call gets 429 and the whole seconds until the next is accepted. Pure:
`now` is an argument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sandbox.slack.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Rate:
    per_second: float
    burst: int


TIER_1 = Rate(1 / 60, 5)
TIER_2 = Rate(20 / 60, 10)
TIER_3 = Rate(50 / 60, 10)
TIER_4 = Rate(100 / 60, 20)
POSTING = Rate(1.0, 3)
SPECIAL = Rate(300 / 60, 100)
"""For methods of which Slack says "hundreds a minute"."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimits:
    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, method: str, key: str, rate: Rate, now: float) -> None:
        """Raises `RateLimited` when the budget of this method (and channel, in `key`) is spent."""
        if self.scale <= 0:
            return
        capacity = max(1.0, rate.burst * self.scale)
        per_second = rate.per_second * self.scale
        bucket = self._buckets.setdefault((method, key), _Bucket(capacity, now))
        bucket.tokens = min(capacity, bucket.tokens + max(0.0, now - bucket.at) * per_second)
        bucket.at = now
        if bucket.tokens < 1.0:
            raise RateLimited(max(1, math.ceil((1.0 - bucket.tokens) / per_second)))
        bucket.tokens -= 1.0

    def clear(self) -> None:
        self._buckets.clear()
