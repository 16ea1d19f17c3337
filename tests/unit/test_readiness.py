"""Whether a process is ready, by what Redis replies."""

from __future__ import annotations

import time

import pytest

from bot.ports import StoreUnavailable
from bot.readiness import Readiness
from bot.store import RedisReleaseStore, connect
from tests.unit.slack.test_redis_hangs import silent


class Reaching:
    def __init__(self, now: float = 1_796_054_400.0) -> None:
        self.away = ""
        self.now = now
        self.readiness = Readiness(self._reach, lambda: self.now, lambda: self.now)

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable(self.away)

    def read(self) -> tuple[bool, str]:
        self.now += 5
        found = self.readiness.read()
        return found.is_ready, found.text


def test_not_ready_until_redis_was_reached_once() -> None:
    redis = Reaching()
    redis.away = "Redis rejected the credentials"
    assert redis.read() == (False, "not ready: Redis rejected the credentials")
    redis.away = ""
    assert redis.read() == (True, "ready")


def test_stays_ready_while_redis_is_away_and_says_since_when() -> None:
    redis = Reaching()
    redis.read()
    redis.away = "Redis is unreachable"
    away = (True, "redis: away since 2026-11-30T16:00:10Z: Redis is unreachable")
    assert [redis.read(), redis.read()] == [away, away]
    redis.away = ""
    assert redis.read() == (True, "ready")


def test_the_log_names_why_redis_is_away_once_and_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bot alone, with a wrong password, has nobody else who says it."""
    redis = Reaching()
    for redis.away in ("Redis rejected the credentials", ""):
        redis.read()
        redis.read()
    assert [one.message for one in caplog.records] == [
        "Redis does not answer: Redis rejected the credentials",
        "Redis answers again",
    ]


def test_replies_within_a_second_while_redis_hangs() -> None:
    with silent() as url:
        readiness = Readiness(RedisReleaseStore(connect(url)).now)
        began = time.monotonic()
        assert not readiness.read().is_ready
        assert time.monotonic() - began < 1.0
