"""The processes of an installation: ticker, workers and watcher."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bot.cluster.watch import Change
from bot.operations.context import Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.delivery.report_outside_change import report_outside_change
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.sweep import sweep
from bot.operations.queries.run_query import run_query
from bot.operations.starts.answer_start import Answered, answer_start
from bot.operations.watching.follow_rollout import follow_rollout
from bot.operations.watching.watch_after import watch_after
from bot.ports import StoreUnavailable
from bot.query import Query, dump_query, load_query
from bot.work_queue import QUERIES, ROUTES
from jobs.leasing import hold, hold_at_once
from jobs.sealing import Sealer
from jobs.ticker import tick
from jobs.watcher import Nudger
from tests.simulation.scheduling import Scheduler

OPERATIONS: Mapping[str, Callable[[Context, str], int | None]] = {
    "release": advance_release,
    "deliver": deliver_release,
    "noticed": report_outside_change,
    "rollout": follow_rollout,
    "watch": watch_after,
    "sweep": lambda context, _subject: sweep(context),
}
IDLE_MS = 1_000
AGAIN_MS = 500
BEAT_MS = 3_000


@dataclass(frozen=True)
class Job:
    """A wake with its token, or a query."""

    wake_id: str = ""
    token: str = ""
    query: Query | None = None


@dataclass
class SimulatedJobs:
    """RQ's queues, and the WorkQueue port: a job that a process took and died with is gone."""

    scheduler: Scheduler
    wakes: Callable[[str, int], None]
    queues: dict[str, deque[Job]] = field(default_factory=lambda: defaultdict(deque))

    def wake(self, wake_id: str, at: int) -> None:
        self.wakes(wake_id, at)

    def ask(self, query: Query) -> None:
        self._add(QUERIES, Job(query=load_query(dump_query(query))))

    def enqueue_wake(self, wake_id: str, token: str) -> None:
        self._add(ROUTES[wake_id.partition(":")[0]].queue, Job(wake_id, token))

    def foremost(self, wake_ids: Sequence[str]) -> dict[str, str]:
        first = {name: queue[0].token for name, queue in self.queues.items() if queue}
        return {one: first.get(ROUTES[one.partition(":")[0]].queue, "") for one in wake_ids}

    def take(self, queue: str) -> Job | None:
        return self.queues[queue].popleft() if self.queues[queue] else None

    def _add(self, queue: str, job: Job) -> None:
        self.queues[queue].append(job)
        self.scheduler.raise_signal(f"jobs in {queue}")


@dataclass
class Installation:
    """``leases`` makes those of one process; ``failed`` hears of what a job raised."""

    scheduler: Scheduler
    context: Context
    jobs: SimulatedJobs
    queue: Any  # the jobs as a process sees them
    leases: Callable[[], Any]
    failed: Callable[[str, Exception], None]
    unnudge: Callable[[], None]
    inbox: list[tuple[str, Change]] = field(default_factory=list)

    def run_ticker(self) -> None:
        leases, beaten_at = self.leases(), -BEAT_MS
        seal = Sealer(self.context.store)
        while True:
            try:
                if self.scheduler.now - beaten_at >= BEAT_MS:
                    beaten_at = self.scheduler.now
                    leases.beat()
                wait_ms = tick(leases, self.queue)
                seal()
            except StoreUnavailable:
                self.scheduler.pause(AGAIN_MS)
                continue
            if wait_ms:
                self.unnudge()
                self.scheduler.wait_for("nudge", wait_ms)

    def run_worker(self, queue: str) -> None:
        leases = self.leases()
        while True:
            job = self.jobs.take(queue)
            if job is None:
                self.scheduler.wait_for(f"jobs in {queue}", 10 * IDLE_MS)
                continue
            try:
                self._run(leases, job)
            except Exception as error:  # judged
                self.failed(job.wake_id or "query", error)

    def _run(self, leases: Any, job: Job) -> None:
        if job.query is not None:
            run_query(self.context, job.query)
            return
        kind = job.wake_id.partition(":")[0]
        if kind == "start":
            self._start(leases, job)
            return
        with hold(leases, self.context.runtime, job.wake_id, job.token) as held:
            if held.granted:
                held.next_wake = OPERATIONS[kind](self.context, held.subject)

    def _start(self, leases: Any, job: Job) -> None:
        """As the job of that name: the first tick follows at once."""
        answered = Answered()
        with hold(leases, self.context.runtime, job.wake_id, job.token) as held:
            if held.granted:
                answered = answer_start(self.context, held.subject)
                held.next_wake = answered.again_at
        if answered.begun is None:
            return
        release_id, draft = answered.begun
        with hold_at_once(leases, self.context.runtime, f"release:{release_id}") as held:
            if held.granted:
                held.next_wake = advance_release(self.context, release_id, draft)

    def run_watcher(self) -> None:
        nudger = Nudger(self.context, self.context.runtime.monotonic)
        while True:
            if not self.inbox:
                self.scheduler.wait_for("changes", IDLE_MS)
            while self.inbox:
                nudger.take(*self.inbox.pop(0))
            try:
                nudger.nudge()
            except StoreUnavailable:
                self.scheduler.pause(AGAIN_MS)

    def roles(self, workers: int) -> dict[str, Callable[[], None]]:
        """By the name of the process."""
        found: dict[str, Callable[[], None]] = {
            "ticker-1": self.run_ticker,
            "watcher": self.run_watcher,
            "delivery": partial(self.run_worker, ROUTES["deliver"].queue),
            "queries": partial(self.run_worker, QUERIES),
        }
        for number in range(1, workers + 1):
            found[f"worker-{number}"] = partial(self.run_worker, ROUTES["release"].queue)
        return found
