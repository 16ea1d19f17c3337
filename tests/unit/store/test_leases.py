"""Due and leased: at a time or earlier, never twice at once, and nothing lost."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from bot.store import Leases, RedisReleaseStore, connect
from bot.store.connection import PREFIX
from bot.store.leases import name_of_host
from sandbox.redis_server import EmbeddedRedis
from tests.conftest import eventually
from tests.faults.lossy_redis import LossyRedis


@pytest.fixture
def leases(redis_client: Redis) -> Leases:
    return Leases(redis_client)


@pytest.fixture
def now(redis_client: Redis) -> int:
    return RedisReleaseStore(redis_client).now()


def due(client: Redis) -> dict[str, int]:
    rows = cast(list[tuple[bytes, float]], client.zrange(f"{PREFIX}due", 0, -1, withscores=True))
    return {name.decode(): int(at) for name, at in rows}


def test_a_due_wake_is_claimed_once(leases: Leases) -> None:
    leases.wake("release:a-1", 0)
    assert [claim.wake_id for claim in leases.claim()[0]] == ["release:a-1"]
    assert leases.claim()[0] == ()


def test_a_later_wake_has_a_waiting_time(leases: Leases, now: int) -> None:
    leases.wake("release:a-1", now + 60_000)
    claims, later = leases.claim()
    assert claims == ()
    assert later is not None and 50_000 < later <= 60_000


def test_nothing_planned_means_nothing_to_wait_for(leases: Leases) -> None:
    assert leases.claim() == ((), None)


def test_any_number_of_tickers_claim_each_id_once(redis_url: str, leases: Leases) -> None:
    ids = {f"release:a-{number}" for number in range(300)}
    for wake_id in ids:
        leases.wake(wake_id, 0)
    tickers = [Leases(Redis.from_url(redis_url)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        rounds = list(
            pool.map(
                lambda ticker: [c.wake_id for _ in range(10) for c in ticker.claim(limit=10)[0]],
                tickers,
            )
        )
    claimed = [wake_id for one in rounds for wake_id in one]
    assert len(claimed) == 300 and set(claimed) == ids


def test_a_wake_during_a_job_is_honoured_after_it(leases: Leases) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    assert leases.begin(claim.wake_id, claim.token)
    leases.wake("release:a-1", 0)
    assert leases.claim()[0] == ()
    leases.finish(claim.wake_id, claim.token, None)
    assert [c.wake_id for c in leases.claim()[0]] == ["release:a-1"]


def test_a_job_that_begins_serves_what_was_planned_before(leases: Leases, now: int) -> None:
    """It reads everything anew: a change that was reported before needs no job of its own."""
    leases.wake("release:a", now)
    ((claim,), _) = leases.claim()
    leases.wake("release:a", now + 200)
    assert leases.begin(claim.wake_id, claim.token)
    leases.finish(claim.wake_id, claim.token, now + 60_000)
    _, later = leases.claim()
    assert later is not None and later > 50_000


def test_ids_that_wait_for_their_job_do_not_hide_those_behind_them(leases: Leases) -> None:
    for number in range(5):
        leases.wake(f"release:a-{number}", 0)
    leases.claim()
    for number in range(5):
        leases.wake(f"release:a-{number}", 0)
    leases.wake("release:b-1", 1)
    assert [c.wake_id for c in leases.claim(limit=2)[0]] == ["release:b-1"]


def test_the_earlier_of_a_wake_and_the_next_wake_wins(
    leases: Leases, redis_client: Redis, now: int
) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    leases.wake("release:a-1", now + 1_000)
    leases.finish(claim.wake_id, claim.token, now + 90_000)
    assert due(redis_client) == {"release:a-1": now + 1_000}


def test_only_the_holder_of_the_token_may_begin(leases: Leases) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    assert not leases.begin(claim.wake_id, "another token")
    assert leases.begin(claim.wake_id, claim.token)


def test_a_planned_wake_can_begin_at_once(leases: Leases, redis_client: Redis, now: int) -> None:
    leases.wake("release:a-1", now + 60_000)
    token = leases.begin_at_once("release:a-1")
    assert token and leases.begin_at_once("release:a-1") == token
    assert leases.claim()[0] == () and not due(redis_client)
    leases.finish("release:a-1", token, now + 30_000)
    assert due(redis_client) == {"release:a-1": now + 30_000}


def test_what_another_claimed_does_not_begin_at_once(leases: Leases, redis_client: Redis) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    assert leases.begin_at_once("release:a-1") == ""
    assert leases.begin(claim.wake_id, claim.token)
    assert Leases(redis_client).begin_at_once("release:a-1") == ""


def test_what_nothing_planned_does_not_begin_at_once(leases: Leases) -> None:
    assert leases.begin_at_once("release:a-1") == ""


def test_begin_is_idempotent_for_the_same_job(leases: Leases) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    assert [leases.begin(claim.wake_id, claim.token) for _ in range(2)] == [True, True]


def test_of_two_copies_of_a_job_one_begins(leases: Leases, redis_client: Redis) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    other_job = Leases(redis_client)
    assert [
        leases.begin(claim.wake_id, claim.token),
        other_job.begin(claim.wake_id, claim.token),
    ] == [True, False]


def test_a_job_that_only_waits_in_its_queue_is_enqueued_again_with_the_same_token(
    leases: Leases,
) -> None:
    leases.wake("release:a-1", 0)
    (first,), _ = leases.claim(lease_ms=0)
    (second,), _ = leases.claim()
    assert second == first
    assert leases.begin(first.wake_id, first.token)


def test_a_lease_that_ran_out_is_taken_over_and_the_late_job_does_nothing(
    leases: Leases, redis_client: Redis, now: int
) -> None:
    leases.wake("release:a-1", 0)
    (late,), _ = leases.claim()
    leases.begin(late.wake_id, late.token, lease_ms=0)
    (new,), _ = leases.claim()
    assert new.wake_id == late.wake_id and new.token != late.token
    assert not leases.finish(late.wake_id, late.token, now + 5_000)
    assert not Leases(redis_client).begin(late.wake_id, late.token)
    assert Leases(redis_client).begin(new.wake_id, new.token)
    assert due(redis_client) == {}


def test_a_finish_sent_twice_happens_once(leases: Leases) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    assert [
        leases.finish(claim.wake_id, claim.token, 0),
        leases.finish(claim.wake_id, claim.token, 0),
    ] == [True, False]
    assert len(leases.claim()[0]) == 1


def test_a_job_that_fails_comes_back_later_each_time(leases: Leases, redis_client: Redis) -> None:
    delays = []
    for _ in range(4):
        leases.wake("release:a-1", 0)
        (claim,), _ = leases.claim()
        leases.begin(claim.wake_id, claim.token)
        leases.fail(claim.wake_id, claim.token)
        delays.append(due(redis_client)["release:a-1"] - RedisReleaseStore(redis_client).now())
    assert all(later > sooner for sooner, later in pairwise(delays))
    assert delays[0] <= 500 and delays[-1] > 3 * delays[0]


def test_a_success_forgets_the_failures(leases: Leases, redis_client: Redis) -> None:
    for outcome in (
        leases.fail,
        leases.fail,
        lambda wake_id, token: leases.finish(wake_id, token, None),
        leases.fail,
    ):
        leases.wake("release:a-1", 0)
        (claim,), _ = leases.claim()
        outcome(claim.wake_id, claim.token)
    assert due(redis_client)["release:a-1"] - RedisReleaseStore(redis_client).now() <= 500


def test_the_lease_of_a_dead_process_ends_at_once(leases: Leases) -> None:
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    leases.begin(claim.wake_id, claim.token)
    assert leases.expedite(lambda pid: True, waiting=False) == 0
    assert leases.expedite(lambda pid: False, waiting=False) == 1
    (again,), _ = leases.claim()
    assert again.token != claim.token


def died(leases: Leases, client: Redis) -> int:
    """A job is begun and its process dies; the milliseconds until it comes again."""
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    assert leases.begin(claim.wake_id, claim.token)
    assert leases.expedite(lambda pid: False, waiting=False) == 1
    return max(0, due(client)["release:a-1"] - RedisReleaseStore(client).now())


def test_a_job_whose_process_dies_comes_back_at_once_and_if_it_dies_again_later_each_time(
    leases: Leases, redis_client: Redis
) -> None:
    first, *later = [died(leases, redis_client) for _ in range(10)]
    assert first == 0
    assert 0 < later[0] <= 500
    assert all(longer > shorter for shorter, longer in pairwise(later[:7]))
    assert 50_000 < later[-1] <= 60_000


def test_a_job_that_lived_to_its_end_may_die_again_and_comes_back_at_once(
    leases: Leases, redis_client: Redis
) -> None:
    for _ in range(3):
        died(leases, redis_client)
    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim()
    leases.begin(claim.wake_id, claim.token)
    leases.finish(claim.wake_id, claim.token, None)
    assert died(leases, redis_client) == 0


def test_what_dies_again_and_again_holds_up_no_other(leases: Leases, redis_client: Redis) -> None:
    for _ in range(3):
        died(leases, redis_client)
    leases.wake("release:b-1", 0)
    assert [claim.wake_id for claim in leases.claim()[0]] == ["release:b-1"]


def test_an_unbegun_job_is_handed_out_again_only_when_a_worker_died(
    leases: Leases,
) -> None:
    leases.wake("release:a-1", 0)
    claims, _ = leases.claim()
    assert leases.expedite(lambda pid: False, waiting=False) == 0
    assert leases.expedite(lambda pid: False, waiting=True) == 1
    assert leases.claim()[0] == claims


def test_a_job_that_still_waits_in_a_long_queue_gets_no_copy(leases: Leases) -> None:
    for number in range(3):
        leases.wake(f"release:a-{number}", 0)
    claims, _ = leases.claim(lease_ms=0)
    again, later = leases.claim(foremost=lambda ids: dict.fromkeys(ids, claims[1].token))
    assert again == claims[:1], "only the first has left its queue, and nobody has begun it"
    assert later is not None and later > 0


def test_the_queue_is_asked_only_about_an_unbegun_job(leases: Leases) -> None:
    def asked(_ids: Sequence[str]) -> dict[str, str]:
        raise AssertionError("nothing is unclear")

    leases.wake("release:a-1", 0)
    (claim,), _ = leases.claim(foremost=asked)
    leases.begin(claim.wake_id, claim.token, lease_ms=0)
    (again,), _ = leases.claim(foremost=asked)
    assert again.token != claim.token


def test_a_claim_whose_reply_was_lost_is_answered_again(
    redis_server: EmbeddedRedis, redis_url: str, leases: Leases
) -> None:
    with LossyRedis(redis_server.port) as lossy:
        ticker = Leases(connect(lossy.url))
        ticker.claim()
        leases.wake("release:a-1", 0)
        lossy.lose(1)
        assert [claim.wake_id for claim in ticker.claim()[0]] == ["release:a-1"]
        assert lossy.lost == 1


def test_a_wake_ends_a_tickers_wait(leases: Leases, redis_url: str) -> None:
    ticker = Leases(Redis.from_url(redis_url))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ticker.wait, 30_000)
        leases.wake("release:a-1", 0)
        waiting.result(timeout=30)
    assert waiting.done()


def test_wakes_leave_one_nudge_however_many_they_are(leases: Leases, redis_client: Redis) -> None:
    for number in range(50):
        leases.wake(f"release:a-{number}", 0)
    assert redis_client.llen(f"{PREFIX}nudge") == 1


def test_the_backlog_measures_how_late_the_earliest_is(leases: Leases, now: int) -> None:
    leases.wake("release:a-1", now - 5_000)
    leases.wake("release:a-2", now + 60_000)
    backlog = leases.backlog()
    assert (backlog.due, backlog.leased) == (2, 0)
    assert 5_000 <= backlog.overdue_ms < 15_000


def test_a_time_is_not_late_before_it_comes(leases: Leases, now: int) -> None:
    leases.wake("release:a-1", now + 150)
    assert leases.backlog().overdue_ms == 0
    assert eventually(lambda: bool(leases.claim()[0]))


def test_two_machines_of_one_name_are_two_hosts(tmp_path: Path) -> None:
    """Outside containers both have the first pid namespace, which has the same number anywhere."""

    def machine(boot: str) -> Path:
        proc = tmp_path / boot
        (proc / "sys/kernel/random").mkdir(parents=True)
        (proc / "sys/kernel/random/boot_id").write_text(f"{boot}\n", encoding="ascii")
        (proc / "self/ns").mkdir(parents=True)
        (proc / "self/ns/pid").symlink_to("pid:[4026531836]")
        return proc

    one, other = machine("boot-1"), machine("boot-2")
    assert name_of_host(one) == name_of_host(one) != name_of_host(other)
