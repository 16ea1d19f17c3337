"""Redis' clock is set back by minutes, or another server with a slower clock takes over: what was
planned and leased by the clock before is not late by as much.

The tests set what the scripts left of the clock before: it cannot be set in a server that runs.
"""

from __future__ import annotations

import pytest
from redis import Redis

from bot.ports import Budget
from bot.store import Leases, RedisReleaseStore
from bot.store.connection import PREFIX
from bot.store.leases import RUNNING_LEASE_MS
from tests.builders import MINUTE, SECOND, a_release
from tests.unit.store.test_leases import due

BACK = 7 * MINUTE
SLACK = Budget("slack", per_minute=60, burst=2)


@pytest.fixture
def store(redis_client: Redis) -> RedisReleaseStore:
    return RedisReleaseStore(redis_client)


@pytest.fixture
def leases(redis_client: Redis) -> Leases:
    return Leases(redis_client)


@pytest.fixture
def before(store: RedisReleaseStore, redis_client: Redis) -> int:
    """The time by the clock before, when a ticker last ran."""
    at = store.now() + BACK
    redis_client.set(f"{PREFIX}clock", at)
    return at


def test_what_is_planned_comes_when_it_would_have(leases: Leases, before: int) -> None:
    leases.wake("release:a-1", before + 30 * SECOND)
    leases.beat()
    _, later = leases.claim()
    assert later is not None and 20 * SECOND < later <= 30 * SECOND


def test_what_was_due_comes_at_once(leases: Leases, before: int) -> None:
    leases.wake("release:a-1", before)
    leases.beat()
    assert [claim.wake_id for claim in leases.claim()[0]] == ["release:a-1"]


def test_a_lease_lasts_no_longer_than_a_lease_may(
    leases: Leases, before: int, redis_client: Redis
) -> None:
    redis_client.zadd(f"{PREFIX}leased", {"release:a-1": before + 5 * SECOND})
    leases.beat()
    _, later = leases.claim()
    assert later is not None and later <= RUNNING_LEASE_MS


def test_a_lease_of_the_new_clock_is_not_cut(leases: Leases, before: int) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    leases.begin(claim.wake_id, claim.token)
    leases.beat()
    _, later = leases.claim()
    assert later is not None and later > RUNNING_LEASE_MS - 5 * SECOND


def test_of_two_tickers_one_mends(leases: Leases, before: int, redis_client: Redis) -> None:
    leases.wake("release:a-1", before + 2 * BACK)
    leases.beat()
    after = due(redis_client)
    Leases(redis_client).beat()
    assert due(redis_client) == after
    assert 2 * BACK - 5 * SECOND < after["release:a-1"] - (before - BACK) < 2 * BACK + 5 * SECOND


def test_a_clock_that_only_runs_moves_nothing(
    leases: Leases, store: RedisReleaseStore, redis_client: Redis
) -> None:
    leases.beat()
    at = store.now() + MINUTE
    leases.wake("release:a-1", at)
    leases.beat()
    assert due(redis_client) == {"release:a-1": at}


def test_a_budget_is_not_closed_for_as_long(
    store: RedisReleaseStore, before: int, redis_client: Redis
) -> None:
    key = f"{PREFIX}budget:slack"
    redis_client.hset(
        key,
        mapping={
            "level": "1",
            "at": before,
            "closed_until": before + SECOND,
            "asked": before,
        },
    )
    redis_client.zadd(f"{PREFIX}budget-queue:slack", {"another": before})
    redis_client.zadd(f"{PREFIX}budget-promised:slack", {"another": before})
    assert store.book(SLACK, "one") <= SECOND


def test_a_card_that_was_booked_is_edited_at_once(
    store: RedisReleaseStore, before: int, redis_client: Redis
) -> None:
    made = store.create(a_release(), dedup_key="", same_as="", operation="made").release
    redis_client.zrem(f"{PREFIX}due", f"deliver:{made.id}")
    redis_client.hset(
        f"{PREFIX}release:{made.id}",
        mapping={
            "card_booked": before + SECOND,
            "card_booked_at": before,
        },
    )
    store.save(made, (), operation="saved")
    assert due(redis_client)[f"deliver:{made.id}"] <= store.now()
