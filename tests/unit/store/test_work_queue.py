"""Which job is enqueued where, and as what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from bot.commands.model import GetCommand, PodsCommand
from bot.ports import StoreUnavailable
from bot.query import load_query
from bot.store import Leases, connect
from bot.work_queue import (
    DELIVERY,
    EVENTS,
    JOB_TIMEOUT_S,
    QUERIES,
    QUEUES,
    RELEASES,
    Lanes,
    RqWorkQueue,
)
from sandbox.redis_server import EmbeddedRedis
from tests.builders import a_query


@pytest.fixture
def queue(redis_client: Redis) -> RqWorkQueue:
    return RqWorkQueue(redis_client, wake=Leases(redis_client).wake, push=Leases(redis_client).push)


def jobs_in(client: Redis, name: str) -> list[Job]:
    return Queue(name, connection=client, serializer=JSONSerializer).get_jobs()


@pytest.mark.parametrize(
    ("wake_id", "name", "function"),
    [
        ("release:hello.world-1", RELEASES, "jobs.advance_release.advance_release"),
        ("start:hello", RELEASES, "jobs.answer_start.answer_start"),
        ("deliver:hello-1", DELIVERY, "jobs.deliver_release.deliver_release"),
        ("events:0123456789ab/hello-1", EVENTS, "jobs.send_events.send_events"),
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


PLACES = {"hello in=eu": "eu", "hello in=us": "us"}


def a_queue(client: Redis, lanes: Lanes) -> RqWorkQueue:
    return RqWorkQueue(client, wake=Leases(client).wake, push=Leases(client).push, lanes=lanes)


def test_a_query_for_a_cluster_that_was_removed_is_answered_elsewhere(redis_client: Redis) -> None:
    """The worker there says that the catalog no longer has the app."""
    asked = a_query(PodsCommand(), apps=("hello in=us",))
    a_queue(redis_client, Lanes(("eu", "us", "ap"), PLACES)).ask(asked)
    now = a_queue(redis_client, Lanes(("eu", "ap"), {"hello in=eu": "eu"}))
    assert now.rescue() == 0, "a worker may just be about to take it"
    assert now.rescue() == 1 and now.rescue() == 0
    (job,) = jobs_in(redis_client, QUERIES)
    assert load_query(job.args[0]) == asked
    assert not jobs_in(redis_client, f"{QUERIES}-us")


def test_a_query_that_a_worker_will_take_stays(redis_client: Redis) -> None:
    queue = a_queue(redis_client, Lanes(("eu", "us"), PLACES))
    queue.ask(a_query(PodsCommand(), apps=("hello in=us",)))
    assert queue.rescue() == queue.rescue() == 0
    assert len(jobs_in(redis_client, f"{QUERIES}-us")) == 1


def test_foremost_returns_the_token_of_each_kind(queue: RqWorkQueue) -> None:
    queue.enqueue_wake("release:a-1", "ab-1")
    queue.enqueue_wake("release:a-2", "ab-2")
    queue.enqueue_wake("deliver:a-1", "ab-3")
    queue.ask(a_query(PodsCommand()))
    queue.enqueue_wake("sweep", "ab-4")
    asked = ("start:a", "release:a-2", "deliver:a-1", "sweep", "unheard-of:1")
    assert queue.foremost(asked) == {
        "start:a": "ab-1",
        "release:a-2": "ab-1",
        "deliver:a-1": "ab-3",
        "sweep": "",  # a query is next
        "unheard-of:1": "",
    }


LANES = Lanes(("eu", "us"), {"hello in=eu": "eu", "hello in=us": "us", "auth": "us"})


def test_each_cluster_has_queues_of_its_own(redis_client: Redis) -> None:
    places = {"hello-1": "hello in=eu", "hello-2": "hello in=us"}
    queue = RqWorkQueue(
        redis_client,
        wake=Leases(redis_client).wake,
        lanes=LANES,
        place_of=lambda release_id: places.get(release_id, ""),
    )
    for wake_id in ("release:hello-1", "release:hello-2", "release:auth-7", "start:hello in=us"):
        queue.enqueue_wake(wake_id, f"ab-{len(wake_id)}")
    queue.enqueue_wake("release:gone-1", "ab-99")  # no longer in the catalog: it waits for nothing
    queue.enqueue_wake("deliver:hello-1", "ab-100")
    for apps in (("hello in=eu",), ("hello in=us", "auth"), ("hello in=eu", "auth"), ()):
        queue.ask(replace(a_query(PodsCommand()), apps=apps))
    assert {name: count for name, count in queue.lengths().items() if count} == {
        "pilothouse-releases-eu": 2,
        "pilothouse-releases-us": 3,
        "pilothouse-delivery": 1,
        "pilothouse-queries-eu": 1,
        "pilothouse-queries-us": 1,
        "pilothouse-queries": 2,
    }
    assert queue.foremost(["release:hello-2", "release:hello-1"]) == {
        "release:hello-1": "ab-15",
        "release:hello-2": "ab-15",
    }


def test_many_clusters_share_lanes() -> None:
    lanes = Lanes(tuple(f"c{number}" for number in range(20)))
    assert len(lanes.names) == 16
    assert lanes.of_cluster("c17") == "c1"
    assert Lanes(("only",)).names == () and Lanes(("only",)).of_cluster("only") == ""


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
