"""The due set and the leases: at a time or earlier, and never twice at once; the same suite for
Redis, for its scripts in process and for the double in memory."""

from __future__ import annotations

from tests.contracts.store.conftest import Adapters

OVER = 0
"""A lease of no time has run out when it is asked for next."""


def claimed(adapters: Adapters, wake_id: str = "sweep", *, lease_ms: int = 60_000) -> str:
    """The token of its job."""
    lease = adapters.leases()
    lease.wake(wake_id, 1)
    ((claim,), _) = lease.claim(lease_ms=lease_ms)
    assert claim.wake_id == wake_id
    return str(claim.token)


def test_what_is_due_is_claimed_once(adapters: Adapters) -> None:
    claimed(adapters)
    assert adapters.leases().claim()[0] == ()


def test_the_earliest_wake_wins_and_the_rest_is_waited_for(adapters: Adapters) -> None:
    leases, now = adapters.leases(), adapters.store.now()
    leases.wake("sweep", now + 90_000)
    leases.wake("sweep", now + 60_000)
    leases.wake("sweep", now + 70_000)
    claims, later = leases.claim()
    assert claims == () and later is not None and 50_000 < later <= 60_000


def test_a_job_runs_with_its_token_alone(adapters: Adapters) -> None:
    token = claimed(adapters)
    first, second = adapters.leases(), adapters.leases()
    assert not first.begin("sweep", "another-1")
    assert first.begin("sweep", token) and first.begin("sweep", token)
    assert not second.begin("sweep", token)
    assert first.finish("sweep", token, None) and not first.finish("sweep", token, None)


def test_a_wake_while_its_job_runs_is_honoured_after_it(adapters: Adapters) -> None:
    token, leases = claimed(adapters), adapters.leases()
    assert leases.begin("sweep", token)
    leases.wake("sweep", 1)
    assert leases.claim()[0] == ()
    assert leases.finish("sweep", token, None)
    ((again,), _) = leases.claim()
    assert again.wake_id == "sweep" and again.token != token


def test_a_begun_job_whose_lease_ran_out_is_taken_over_with_a_new_token(adapters: Adapters) -> None:
    token, lost, ticker = claimed(adapters), adapters.leases(), adapters.leases()
    assert lost.begin("sweep", token, lease_ms=OVER)
    ((again,), _) = ticker.claim()
    assert again.token != token
    assert not lost.finish("sweep", token, None)
    assert ticker.begin("sweep", again.token)


def test_a_job_that_left_its_queue_unbegun_comes_with_the_same_token(adapters: Adapters) -> None:
    token = claimed(adapters, lease_ms=OVER)
    ((again,), _) = adapters.leases().claim()
    assert again.token == token


def test_one_that_still_waits_in_its_queue_is_not_enqueued_again(adapters: Adapters) -> None:
    token, asked = claimed(adapters, lease_ms=OVER), list[str]()

    def foremost(wake_ids: object) -> dict[str, str]:
        asked.extend(wake_ids)  # type: ignore[arg-type]
        return {"sweep": token}

    assert adapters.leases().claim(foremost=foremost)[0] == ()
    assert asked == ["sweep"]


def test_a_failed_job_comes_again_later_each_time(adapters: Adapters) -> None:
    leases = adapters.leases()
    token = claimed(adapters)
    assert leases.begin("sweep", token) and leases.fail("sweep", token)
    first = adapters.due()["sweep"] - adapters.store.now()
    leases.wake("sweep", 1)
    ((again,), _) = leases.claim()
    assert leases.begin("sweep", again.token) and leases.fail("sweep", again.token)
    assert 0 < first <= 500 < adapters.due()["sweep"] - adapters.store.now() <= 1_000


def test_planned_work_begins_at_once_where_nobody_has_it(adapters: Adapters) -> None:
    leases = adapters.leases()
    assert leases.begin_at_once("sweep") == ""
    leases.wake("sweep", adapters.store.now() + 60_000)
    token = leases.begin_at_once("sweep")
    assert token and leases.begin_at_once("sweep") == token
    assert adapters.leases().begin_at_once("sweep") == ""
    assert adapters.due() == {}
    assert leases.finish("sweep", token, adapters.store.now() + 5_000)
    assert list(adapters.due()) == ["sweep"]
