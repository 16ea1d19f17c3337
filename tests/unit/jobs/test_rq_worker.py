"""Which process runs a job."""

from __future__ import annotations

import os

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobs.rq_worker import StayingWorker, make_worker

ran_in: list[int] = []


def note_process(*_arguments: str) -> None:
    ran_in.append(os.getpid())


def fail(*_arguments: str) -> None:
    raise ValueError("as it happens")


@pytest.fixture
def queue(redis_client: Redis) -> Queue:
    ran_in.clear()
    return Queue("pilothouse-delivery", connection=redis_client, serializer=JSONSerializer)


def test_releases_and_deliveries_are_run_one_after_the_other_without_a_fork(redis_client: Redis, queue: Queue) -> None:
    for _ in range(3):
        queue.enqueue_call(note_process, args=("deliver:hello-1", "token"), timeout=8, result_ttl=0)
    worker = make_worker("pilothouse-delivery", redis_client, forks=False)
    assert isinstance(worker, StayingWorker)
    worker.work(burst=True, logging_level=None)
    assert ran_in == [os.getpid()] * 3


def test_a_job_that_fails_does_not_end_the_ones_behind_it(redis_client: Redis, queue: Queue) -> None:
    queue.enqueue_call(fail, args=("deliver:hello-1", "token"), timeout=8, result_ttl=0)
    queue.enqueue_call(note_process, args=("deliver:hello-2", "token"), timeout=8, result_ttl=0)
    make_worker("pilothouse-delivery", redis_client, forks=False).work(burst=True, logging_level=None)
    assert ran_in == [os.getpid()]


def test_queries_run_in_processes_of_their_own(redis_client: Redis, queue: Queue) -> None:
    queue.enqueue_call(note_process, args=({"question": "pods"},), timeout=8, result_ttl=0)
    make_worker("pilothouse-delivery", redis_client, forks=True).work(burst=True, logging_level=None)
    assert ran_in == []  # what a fork notes is gone with it
