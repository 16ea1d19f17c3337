"""What someone who can write to Redis puts into a queue runs nothing, imports nothing and stops no
worker."""

from __future__ import annotations

import json
import logging
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Repeat, Retry
from rq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.job import Job, get_current_job
from rq.serializers import JSONSerializer

from bot.commands.model import PodsCommand
from bot.query import Query, ReplyTo, dump_query
from bot.releases.facts.people import Person
from bot.store import Leases
from bot.work_queue import QUERIES, QUERY_JOB, QUEUES, RELEASES, ROUTES, Route, RqWorkQueue
from jobs.admission import allow
from jobs.rq_worker import StayingWorker, make_worker

UNWANTED = "tests.fakes.unwanted_import"
CALL = f"{UNWANTED}.call"
HONEST = "tests.hostile.test_jobs_in_redis.note"
QUERY = dump_query(Query(PodsCommand(None), Person("T1", "U1"), ReplyTo("C1"), ("hello",)))
NEXT = dump_query(Query(PodsCommand(None), Person("T1", "U2"), ReplyTo("C1"), ("hello",)))

ran: list[tuple[object, ...]] = []


def note(*arguments: object) -> None:
    ran.append(arguments)


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    ran.clear()
    sys.modules.pop(UNWANTED, None)
    yield
    sys.modules.pop(UNWANTED, None)


@pytest.fixture
def queue(redis_client: Redis) -> Queue:
    return Queue(QUERIES, connection=redis_client, serializer=JSONSerializer)


@pytest.fixture
def worker(redis_client: Redis) -> StayingWorker:
    allowed = allow({"sweep": Route(QUERIES, HONEST)}, HONEST_QUERY, QUERIES)
    return make_worker(QUERIES, redis_client, allowed=allowed)


HONEST_QUERY = "tests.hostile.test_jobs_in_redis.note_query"


def note_query(query: object) -> None:
    ran.append((query,))


def enqueue(queue: Queue, function: str = HONEST_QUERY, **what: Any) -> Job:
    return queue.enqueue_call(
        function, **{"args": (QUERY,), "timeout": 8, "result_ttl": 0, "failure_ttl": 60, **what}
    )


def write(queue: Queue, call: object, **fields: Any) -> None:
    """A job as raw as Redis takes it."""
    job_id = "11111111-1111-1111-1111-111111111111"
    data = call if isinstance(call, bytes) else zlib.compress(json.dumps(call).encode())
    values: Any = {"data": data, "origin": queue.name, "timeout": 8, "status": "queued", **fields}
    queue.connection.hset(f"rq:job:{job_id}", mapping=values)
    queue.connection.rpush(queue.key, job_id)


def with_stored(field: str, value: str | bytes) -> Callable[[Queue], object]:
    return lambda queue: queue.connection.hset(enqueue(queue).key, field, value)


def with_id(job_id: bytes) -> Callable[[Queue], object]:
    return lambda queue: queue.connection.rpush(queue.key, job_id)


def as_string(queue: Queue) -> None:
    queue.connection.set("rq:job:aa", "not a hash")
    queue.connection.rpush(queue.key, "aa")


def pickled(queue: Queue) -> None:
    Queue(QUERIES, connection=queue.connection).enqueue_call(CALL, timeout=8)


def from_elsewhere(queue: Queue) -> None:
    write(queue, [HONEST_QUERY, None, [QUERY], {}], origin=RELEASES)


ATTACKS: dict[str, Callable[[Queue], object]] = {
    "a function of the standard library": lambda queue: enqueue(
        queue, "subprocess.check_output", args=(["touch", "/tmp/pwned"],)
    ),
    "a function of a module not imported yet": lambda queue: enqueue(queue, CALL),
    "a builtin": lambda queue: enqueue(queue, "eval", args=("1",)),
    "an attribute of an allowed function": lambda queue: enqueue(
        queue, f"{HONEST_QUERY}.__globals__.clear"
    ),
    "an allowed function by another name": lambda queue: enqueue(
        queue, "tests.hostile.test_jobs_in_redis..note_query"
    ),
    "a success callback": lambda queue: enqueue(queue, on_success=Callback(CALL)),
    "a failure callback": lambda queue: enqueue(queue, on_failure=Callback(CALL)),
    "a stopped callback": lambda queue: enqueue(queue, on_stopped=Callback(CALL)),
    "a repeat": lambda queue: enqueue(queue, repeat=Repeat(times=3)),
    "a retry": lambda queue: enqueue(queue, retry=Retry(max=3)),
    "a web hook": with_stored("webhooks", '[{"url": "http://127.0.0.1:9/"}]'),
    "a dependency": with_stored("dependency_ids", '["aa"]'),
    "a group": with_stored("group_id", "aa"),
    "a rate limit": with_stored("rate_limit_key", "aa"),
    "a field that RQ may learn": with_stored("on_start_name", CALL),
    "another serializer": pickled,
    "a method of an instance": lambda queue: write(queue, ["pop", "aa", [QUERY], {}]),
    "named arguments": lambda queue: write(queue, [HONEST_QUERY, None, [QUERY], {"a": 1}]),
    "too few arguments": lambda queue: enqueue(queue, args=()),
    "a query of an unknown shape": lambda queue: enqueue(queue, args=({**QUERY, "a": 1},)),
    "an argument of another type": lambda queue: enqueue(queue, args=("pods",)),
    "a wake without its token": lambda queue: enqueue(queue, HONEST, args=("sweep",)),
    "a wake of another kind": lambda queue: enqueue(queue, HONEST, args=("release:a-1", "token")),
    "a token that breaks lines": lambda queue: enqueue(queue, HONEST, args=("sweep", "a\nb")),
    "no time limit": lambda queue: enqueue(queue, timeout=-1),
    "a time limit of an hour": lambda queue: enqueue(queue, timeout=3600),
    "a time limit that is none": with_stored("timeout", "soon"),
    "a status that RQ does not know": with_stored("status", "hungry"),
    "a job of another queue": from_elsewhere,
    "a call that unpacks to a gigabyte": lambda queue: write(
        queue, zlib.compress(b"[" * 2**20 + b" " * 2**26, 9)
    ),
    "a call that is cut off": lambda queue: write(queue, zlib.compress(b"[" * 999)[:-5]),
    "a call that is nested deeply": lambda queue: write(queue, zlib.compress(b"[" * 99_999)),
    "a call that is no list": lambda queue: write(queue, {"a": 1}),
    "a job without a call": lambda queue: write(queue, b""),
    "a description that is no text": with_stored("description", b"\xff"),
    "an id that is no text": with_id(b"\xff\xfe"),
    "an id with a line break": with_id(b"a\nb"),
    "an id that names a key of another type": as_string,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_job_that_pilothouse_did_not_enqueue_is_refused_and_the_next_one_runs(
    queue: Queue,
    worker: StayingWorker,
    redis_client: Redis,
    caplog: pytest.LogCaptureFixture,
    attack: str,
) -> None:
    ATTACKS[attack](queue)
    enqueue(queue, args=(NEXT,))
    with caplog.at_level(logging.ERROR):
        worker.work(burst=True, logging_level=None)
    assert UNWANTED not in sys.modules
    assert ran == [(NEXT,)]
    assert len([line for line in caplog.messages if line.startswith("refused a job in")]) == 1
    assert "\n" not in "".join(caplog.messages)
    assert Leases(redis_client).counters() == {f"jobs_refused:{QUERIES}": 1}
    assert redis_client.keys("rq:job:*") == []
    assert redis_client.llen(f"rq:queue:{QUERIES}:intermediate") == 0


def test_what_depends_on_an_honest_job_is_not_started(
    queue: Queue, worker: StayingWorker, redis_client: Redis
) -> None:
    honest = enqueue(queue)
    enqueue(queue, CALL, depends_on=honest)
    worker.work(burst=True, logging_level=None)
    assert ran == [(QUERY,)]
    assert UNWANTED not in sys.modules


def test_cleaning_up_after_a_lost_job_calls_back_to_nothing(
    queue: Queue, worker: StayingWorker, redis_client: Redis
) -> None:
    lost = enqueue(queue, on_failure=Callback(CALL))
    redis_client.delete(queue.key)
    redis_client.hset(lost.key, "status", "started")
    redis_client.zadd(queue.started_job_registry.key, {f"{lost.id}:execution": 1})
    redis_client.zadd(queue.started_job_registry.key, {b"\xff": 1})
    enqueue(queue)
    worker.work(burst=True, logging_level=None)
    assert UNWANTED not in sys.modules
    assert ran == [(QUERY,)]


def command_the_worker(query: object) -> None:
    """Sends each command that RQ knows to the worker that runs this."""
    job = get_current_job()
    assert job is not None and job.worker_name is not None
    channels = job.connection.pubsub_channels()
    send_shutdown_command(job.connection, job.worker_name)
    send_kill_horse_command(job.connection, job.worker_name)
    send_stop_job_command(job.connection, job.id, serializer=JSONSerializer)
    job.connection.set("rq:suspended", 1)
    ran.append((query, channels))


def test_commands_to_a_worker_reach_nobody(queue: Queue, redis_client: Redis) -> None:
    job = "tests.hostile.test_jobs_in_redis.command_the_worker"
    enqueue(queue, job)
    enqueue(queue, job)
    worker = make_worker(QUERIES, redis_client, allowed=allow({}, job, QUERIES))
    worker.work(burst=True, logging_level=None)
    assert ran == [(QUERY, []), (QUERY, [])]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_ticker_that_meets_the_job_first_in_its_queue_passes_over_it(
    queue: Queue, redis_client: Redis, attack: str
) -> None:
    ATTACKS[attack](queue)
    foremost = RqWorkQueue(redis_client, wake=Leases(redis_client).wake).foremost(["sweep"])
    assert set(foremost) == {"sweep"}


def test_a_worker_allows_the_jobs_that_are_enqueued_and_nothing_else() -> None:
    expected = {(QUERIES, QUERY_JOB), *((route.queue, route.job) for route in ROUTES.values())}
    allowed = [allow(ROUTES, QUERY_JOB, queue) for queue in QUEUES]
    assert {call for one in allowed for call in one} == expected
    of_lane = {job for _, job in allow(ROUTES, QUERY_JOB, f"{RELEASES}-eu")}
    assert of_lane == {job for queue, job in expected if queue == RELEASES}
    of_queries = {job for _, job in allow(ROUTES, QUERY_JOB, f"{QUERIES}-eu")}
    assert of_queries == {job for queue, job in expected if queue == QUERIES}
