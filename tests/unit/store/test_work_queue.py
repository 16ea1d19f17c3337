"""Which job is enqueued where, and as what."""

from __future__ import annotations

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from bot.commands.model import GetCommand, PodsCommand
from bot.ports import StoreUnavailable
from bot.query import load_query
from bot.store import Leases, connect
from bot.work_queue import DELIVERY, JOB_TIMEOUT_S, QUERIES, QUEUES, RELEASES, RqWorkQueue
from sandbox.redis_server import EmbeddedRedis
from tests.builders import a_query


@pytest.fixture
def queue(redis_client: Redis) -> RqWorkQueue:
    return RqWorkQueue(redis_client, wake=Leases(redis_client).wake)


def jobs_in(client: Redis, name: str) -> list[Job]:
    return Queue(name, connection=client, serializer=JSONSerializer).get_jobs()


@pytest.mark.parametrize(
    ("wake_id", "name", "function"),
    [
        ("release:hello.world-1", RELEASES, "jobs.advance_release.advance_release"),
        ("start:hello", RELEASES, "jobs.answer_start.answer_start"),
        ("deliver:hello-1", DELIVERY, "jobs.deliver_release.deliver_release"),
        ("sweep", QUERIES, "jobs.sweep.sweep"),
    ],
)
def test_each_wake_has_its_queue_and_its_job(
    queue: RqWorkQueue, redis_client: Redis, wake_id: str, name: str, function: str
) -> None:
    queue.enqueue_wake(wake_id, "token")
    (job,) = jobs_in(redis_client, name)
    assert (job.func_name, list(job.args), job.timeout, job.result_ttl) == (
        function,
        [wake_id, "token"],
        JOB_TIMEOUT_S,
        0,
    )
    assert sum(queue.lengths().values()) == 1


def test_a_wake_that_no_job_is_for_is_a_key_error(queue: RqWorkQueue) -> None:
    with pytest.raises(KeyError):
        queue.enqueue_wake("unheard-of:1", "token")


def test_a_query_is_enqueued_as_json(queue: RqWorkQueue, redis_client: Redis) -> None:
    query = a_query(GetCommand("pods", wide=True))
    queue.ask(query)
    (job,) = jobs_in(redis_client, QUERIES)
    (document,) = job.args
    assert load_query(document) == query


def test_foremost_returns_the_token_of_each_kind(queue: RqWorkQueue) -> None:
    queue.enqueue_wake("release:a-1", "ab-1")
    queue.enqueue_wake("release:a-2", "ab-2")
    queue.enqueue_wake("deliver:a-1", "ab-3")
    queue.ask(a_query(PodsCommand()))
    queue.enqueue_wake("sweep", "ab-4")
    assert queue.foremost() == {
        "start": "ab-1",
        "release": "ab-1",
        "deliver": "ab-3",
        "noticed": "ab-3",
    }


def test_every_queue_is_counted(queue: RqWorkQueue) -> None:
    assert queue.lengths() == dict.fromkeys(QUEUES, 0)


def test_an_unreachable_redis_is_reported() -> None:
    with EmbeddedRedis() as server:
        queue = RqWorkQueue(connect(server.url), wake=Leases(connect(server.url)).wake)
        server.kill()
        with pytest.raises(StoreUnavailable, match="REDIS_URL"):
            queue.ask(a_query(PodsCommand()))
        with pytest.raises(StoreUnavailable, match="REDIS_URL"):
            queue.wake("sweep", 0)
