"""The worker's processes die in every way, and each wake is still honoured, once and soon."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.error import HTTPError, URLError

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from bot.commands.model import PodsCommand
from bot.store import Leases, connect
from bot.store.leases import RUNNING_LEASE_MS
from bot.work_queue import QUEUES, RqWorkQueue
from jobs.supervisor import END_WITHIN_S, is_alive
from sandbox.redis_server import EmbeddedRedis
from tests.builders import a_query
from tests.conftest import eventually
from tests.spawned import spawner

SOON_S = 0.8 * RUNNING_LEASE_MS / 1000
"""Long before a lease would be over: what an idle machine does in moments, a busy one does within
this."""


@dataclass(frozen=True)
class Ran:
    at: float
    pid: int
    side_by_side: int


class RunningWorker:
    """The worker as a process, and what its jobs recorded."""

    def __init__(self, url: str, log: Path) -> None:
        self.leases = Leases(connect(url))
        self.queue = RqWorkQueue(
            connect(url), wake=self.leases.wake, query_job="tests.fakes.recording_jobs.answer"
        )
        self.redis = Redis.from_url(url, decode_responses=True)
        self._log = log
        with log.open("wb") as output:
            self.process = spawner().spawn(
                ["tests.fakes.recording_worker", url], environment=os.environ, output=output
            )
        self._wait_until_it_works()

    def _wait_until_it_works(self) -> None:
        try:
            assert eventually(lambda: bool(self.ran("sweep")), 120), self.log()
        except AssertionError:
            self.end()  # else it would do the work of the next worker that a test starts
            raise

    def log(self) -> str:
        return self._log.read_text()

    def ran(self, wake_id: str) -> list[Ran]:
        rows = [row.split() for row in cast(list[str], self.redis.lrange(f"ran:{wake_id}", 0, -1))]
        return [Ran(float(at), int(pid), int(together)) for at, pid, together in rows]

    def wake(self, wake_id: str) -> float:
        self.leases.wake(wake_id, 0)
        return time.time()

    def lateness(self, wake_id: str) -> float:
        """Wakes it now; seconds until its job ran."""
        before = len(self.ran(wake_id))
        woken = self.wake(wake_id)
        assert eventually(lambda: len(self.ran(wake_id)) > before), self.log()
        return self.ran(wake_id)[before].at - woken

    def children(self) -> list[int]:
        return [
            int(pid)
            for pid in (
                Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
                .read_text()
                .split()
            )
        ]

    def get(self, path: str) -> tuple[int, str]:
        """Status 0 until the newest process that serves it listens."""
        found = re.findall(r"metrics on (http://\S+)", self.log())
        assert found, self.log()
        try:
            with urllib.request.urlopen(found[-1] + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except URLError as error:
            return 0, str(error)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def worker(redis_url: str, tmp_path: Path) -> Iterator[RunningWorker]:
    running = RunningWorker(redis_url, tmp_path / "worker.log")
    yield running
    running.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """For tests that leave it with all its processes; each uses ids of its own."""
    with EmbeddedRedis() as server:
        running = RunningWorker(server.url, tmp_path_factory.mktemp("worker") / "worker.log")
        yield running
        running.end()


def test_a_wake_runs_its_job_soon(shared: RunningWorker) -> None:
    assert shared.lateness("release:plain-1") < SOON_S


def test_a_query_is_answered(shared: RunningWorker) -> None:
    shared.queue.ask(a_query(PodsCommand(), text="pods?"))
    assert eventually(lambda: "pods?" in shared.redis.lrange("answered", 0, -1))


def test_many_wakes_never_run_a_release_twice_at_once(shared: RunningWorker) -> None:
    stormed = ("release:slow-1", "release:slow-2")

    def have_run(times: int) -> bool:
        for wake_id in stormed:
            shared.wake(wake_id)
        return min(len(shared.ran(wake_id)) for wake_id in stormed) >= times

    assert eventually(lambda: have_run(4)), shared.log()
    last = shared.wake("release:slow-1")
    assert eventually(lambda: shared.ran("release:slow-1")[-1].at > last)
    for wake_id in stormed:
        assert {run.side_by_side for run in shared.ran(wake_id)} == {1}


def test_a_job_that_kills_its_process_is_retried_soon(shared: RunningWorker) -> None:
    woken = shared.wake("release:crash-1")
    assert eventually(lambda: len(shared.ran("release:crash-1")) == 2), shared.log()
    assert shared.ran("release:crash-1")[1].at - woken < SOON_S


def test_a_job_that_raises_is_retried_soon(shared: RunningWorker) -> None:
    woken = shared.wake("release:fail-1")
    assert eventually(lambda: len(shared.ran("release:fail-1")) == 2), shared.log()
    assert shared.ran("release:fail-1")[1].at - woken < SOON_S
    assert "the first time fails" in shared.log()


def test_a_killed_worker_is_replaced_and_its_job_retried(
    shared: RunningWorker,
) -> None:
    shared.wake("release:orphan-1")
    assert eventually(lambda: bool(shared.ran("release:orphan-1")))
    os.kill(shared.ran("release:orphan-1")[0].pid, signal.SIGKILL)
    killed = time.time()
    assert eventually(lambda: len(shared.ran("release:orphan-1")) == 2), shared.log()
    assert shared.ran("release:orphan-1")[1].at - killed < SOON_S
    assert eventually(lambda: len(shared.children()) == 6)


def test_a_new_worker_answers_after_a_query_killed_the_last(
    shared: RunningWorker,
) -> None:
    before = set(shared.children())
    shared.queue.ask(a_query(PodsCommand(), text="crash"))
    shared.queue.ask(a_query(PodsCommand(), text="and now?"))
    assert eventually(lambda: "and now?" in shared.redis.lrange("answered", 0, -1)), shared.log()
    assert len(before - set(shared.children())) == 1 and len(shared.children()) == 6


def test_a_worker_grown_large_by_a_query_is_replaced_without_a_retry(
    shared: RunningWorker,
) -> None:
    before, logged = set(shared.children()), len(shared.log())
    for question in ("large", "and then?"):
        shared.queue.ask(a_query(PodsCommand(), text=question))

    def answered() -> bool:
        return shared.redis.lrange("answered", -2, -1) == ["large", "and then?"]

    assert eventually(answered), shared.log()
    assert len(before - set(shared.children())) == 1
    log = shared.log()[logged:]
    assert "queries ended; restarting it" in log
    assert "handed out again" not in log and "died" not in log


def test_every_child_that_dies_is_restarted(shared: RunningWorker) -> None:
    # the sweep that shows the worker running may be done before the last child is forked
    assert eventually(lambda: len(shared.children()) == 6), shared.log()
    before = shared.children()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: len(set(shared.children()) - set(before)) == 6), shared.log()
    shared.wake("release:plain-2")
    assert eventually(lambda: bool(shared.ran("release:plain-2"))), shared.log()


@pytest.mark.slow
def test_a_job_that_always_kills_its_process_backs_off_without_delaying_others(
    worker: RunningWorker,
) -> None:
    worker.wake("release:poison-1")
    assert eventually(lambda: len(worker.ran("release:poison-1")) >= 2), worker.log()
    late = []
    while len(worker.ran("release:poison-1")) < 5:
        late.append(worker.lateness("release:plain-7"))
    tries = [run.at for run in worker.ran("release:poison-1")]
    gaps = [later - sooner for sooner, later in itertools.pairwise(tries)]
    # Each wait is at least its back-off; how much longer it is depends on the machine.
    assert all(gap > 0.8 * wait_s for gap, wait_s in zip(gaps[1:4], (0.5, 1, 2), strict=True)), gaps
    assert max(late) < SOON_S


@pytest.mark.slow
def test_waking_jobs_that_always_kill_their_process_delays_no_others(
    worker: RunningWorker,
) -> None:
    while len(worker.ran("release:poison-1")) < 15:
        for number in (1, 2, 3):
            worker.wake(f"release:poison-{number}")
        assert worker.lateness("release:plain-8") < SOON_S


@pytest.mark.slow
def test_a_job_lost_from_its_queue_runs_after_its_lease(
    worker: RunningWorker, tmp_path: Path
) -> None:
    worker.end()
    worker.leases.wake("release:plain-3", 0)
    (claim,), _ = worker.leases.claim(lease_ms=1_000)
    again = RunningWorker(_url(worker.redis), tmp_path / "again.log")
    try:
        assert claim.wake_id == "release:plain-3"
        assert eventually(lambda: bool(again.ran("release:plain-3"))), again.log()
    finally:
        again.end()


def _url(client: Redis) -> str:
    return f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"


@pytest.mark.slow
def test_shutdown_waits_for_the_running_job_and_leaves_no_process(worker: RunningWorker) -> None:
    children = worker.children()
    worker.wake("release:slow-3")
    assert eventually(lambda: bool(worker.ran("release:slow-3")))
    began = time.monotonic()
    assert worker.end() == 0
    assert time.monotonic() - began < END_WITHIN_S  # no process had to be killed
    assert worker.redis.get("running:release:slow-3") == "0"
    assert not any(map(is_alive, children))


def test_workers_end_with_a_killed_supervisor(worker: RunningWorker) -> None:
    children = worker.children()
    worker.process.kill()
    worker.process.wait(30)
    assert eventually(lambda: not any(map(is_alive, children)))


def test_finished_jobs_leave_nothing_in_redis(shared: RunningWorker) -> None:
    shared.wake("release:plain-4")
    assert eventually(
        lambda: shared.leases.backlog().leased == 0 and bool(shared.ran("release:plain-4"))
    )
    client = connect(_url(shared.redis))
    queues = [Queue(name, connection=client, serializer=JSONSerializer) for name in QUEUES]

    def kept() -> set[str]:
        return {
            key.removeprefix("rq:job:")
            for key in shared.redis.scan_iter("rq:job:????????-????-????-????-????????????")
        }

    def explained() -> set[str]:
        """A job whose worker was killed counts as started until RQ's maintenance finds it."""
        found = [
            (
                *queue.failed_job_registry.get_job_ids(),
                *queue.started_job_registry.get_job_ids(cleanup=False),
            )
            for queue in queues
        ]
        return set(itertools.chain(*found))

    assert eventually(lambda: kept() == explained())
    assert not any(queue.finished_job_registry.count for queue in queues)


def test_health_readiness_and_metrics_are_served(shared: RunningWorker) -> None:
    shared.wake("release:plain-5")
    assert eventually(lambda: shared.leases.counters().get("jobs:release:done", 0) >= 1)
    assert eventually(lambda: shared.get("/healthz") == (200, "ok\n"))
    assert shared.get("/readyz") == (200, "ready\n")
    status, metrics = shared.get("/metrics")
    assert status == 200
    assert re.search(r'pilothouse_jobs_total\{kind="release",outcome="done"\} [1-9]', metrics)
    assert 'pilothouse_process_up{process="ticker"} 1.0' in metrics
    assert shared.get("/elsewhere")[0] == 404


@pytest.mark.slow
def test_the_worker_works_within_two_seconds_after_a_long_absence_of_redis(tmp_path: Path) -> None:
    with EmbeddedRedis() as server:
        worker = RunningWorker(server.url, tmp_path / "worker.log")
        try:
            worker.redis.config_set("appendfsync", "always")
            assert worker.get("/readyz")[0] == 200
            server.kill()
            assert eventually(lambda: "redis: away since 20" in worker.get("/readyz")[1])
            status, text = worker.get("/readyz")
            assert status == 200 and "REDIS_URL" in text
            assert "pilothouse_redis_up 0.0" in worker.get("/metrics")[1]
            # Long enough for a wait that doubles to be longer than two seconds.
            tries = "could not connect to Redis"
            assert eventually(lambda: worker.log().count(tries) >= 15), worker.log()
            server.restart()
            worker.leases.wake("release:plain-6", 0)
            back = time.monotonic()
            assert eventually(lambda: bool(worker.ran("release:plain-6")), 15), worker.log()
            assert time.monotonic() - back < 2.0, worker.log()
            assert eventually(lambda: worker.get("/readyz") == (200, "ready\n"), 15)
            assert eventually(lambda: worker.get("/healthz")[0] == 200, 15), worker.get("/healthz")
        finally:
            worker.end()
