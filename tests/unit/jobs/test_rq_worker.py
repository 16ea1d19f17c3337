"""Which process runs a job."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from functools import partial

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobs.admission import AllowedJob
from jobs.rq_worker import make_worker

MOST_COMMANDS_A_JOB = 45
"""Of RQ, from the queue to the end, each one inside a transaction counted."""

ran_in: list[int] = []


def note_process(*_arguments: str) -> None:
    ran_in.append(os.getpid())


def fail(*_arguments: str) -> None:
    raise ValueError("as it happens")


@pytest.fixture
def queue(redis_client: Redis) -> Queue:
    ran_in.clear()
    return Queue("pilothouse-delivery", connection=redis_client, serializer=JSONSerializer)


def work_off(client: Redis) -> None:
    worker = make_worker("pilothouse-delivery", client, allowed=ALLOWED)
    worker.work(burst=True, logging_level=None)


def test_jobs_are_run_one_after_the_other_without_a_fork(redis_client: Redis, queue: Queue) -> None:
    for _ in range(3):
        queue.enqueue_call(note_process, args=("deliver:hello-1", "token"), timeout=8, result_ttl=0)
    make_worker("pilothouse-delivery", redis_client, allowed=ALLOWED).work(
        burst=True, logging_level=None
    )
    assert ran_in == [os.getpid()] * 3


def test_what_a_job_counted_is_reported_after_it(redis_client: Redis, queue: Queue) -> None:
    reported: list[int] = []
    for job in (note_process, fail):
        queue.enqueue_call(job, args=("deliver:hello-1", "token"), timeout=8, result_ttl=0)
    make_worker(
        "pilothouse-delivery",
        redis_client,
        allowed=ALLOWED,
        report=lambda: reported.append(len(ran_in)),
    ).work(burst=True, logging_level=None)
    assert reported == [1, 1]


def commands_of(client: Redis, act: Callable[[], object]) -> int:
    def count() -> int:
        return int(client.info("stats")["total_commands_processed"])

    before = count()
    act()
    return count() - before - 1


def test_a_job_that_is_done_leaves_nothing_and_costs_few_commands(
    redis_client: Redis, queue: Queue
) -> None:
    def run(jobs: int) -> int:
        for _ in range(jobs):
            queue.enqueue_call(
                note_process, args=("deliver:hello-1", "token"), timeout=8, result_ttl=0
            )
        return commands_of(redis_client, lambda: work_off(redis_client))

    one, eleven = run(1), run(11)
    assert (eleven - one) / 10 <= MOST_COMMANDS_A_JOB
    kinds = {key.decode().rsplit(":", 1)[0] for key in redis_client.scan_iter("rq:*")}
    assert not kinds & {"rq:job", "rq:execution", "rq:executions", "rq:results"}
    assert not redis_client.exists("rq:wip:pilothouse-delivery")


def test_a_job_that_fails_does_not_end_the_ones_behind_it(
    redis_client: Redis, queue: Queue
) -> None:
    queue.enqueue_call(fail, args=("deliver:hello-1", "token"), timeout=8, result_ttl=0)
    queue.enqueue_call(note_process, args=("deliver:hello-2", "token"), timeout=8, result_ttl=0)
    make_worker("pilothouse-delivery", redis_client, allowed=ALLOWED).work(
        burst=True, logging_level=None
    )
    assert ran_in == [os.getpid()]


def hold(wake_id: str, _token: str) -> None:
    megabytes = int(wake_id.partition(":")[2])
    ran_in.append(len(bytearray(os.urandom(1)) * (megabytes * 2**20)))


KINDS = frozenset({"deliver"})
ALLOWED = {
    ("pilothouse-delivery", f"{function.__module__}.{function.__name__}"): AllowedJob(
        function, KINDS
    )
    for function in (note_process, fail, hold)
}


def test_a_worker_that_a_job_left_large_makes_room_for_a_new_one_and_one_that_is_not_stays(
    redis_client: Redis, queue: Queue
) -> None:
    for megabytes in (1, 1, 64, 1):
        queue.enqueue_call(hold, args=(f"deliver:{megabytes}", "token"), timeout=8, result_ttl=0)
    worked = partial(
        make_worker,
        "pilothouse-delivery",
        redis_client,
        allowed=ALLOWED,
        memory_grows_by_bytes=32 * 2**20,
    )
    in_a_process_of_its_own(lambda: worked().work(burst=True, logging_level=None))
    assert len(queue) == 1
    in_a_process_of_its_own(lambda: worked().work(burst=True, logging_level=None))
    assert len(queue) == 0


def in_a_process_of_its_own(run: Callable[[], object]) -> None:
    """What this one has held before is none of the worker's."""
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert process.exitcode == 0
