"""``pilothouse worker``: one supervisor, and under it a ticker, the RQ workers (one queue each),
the watcher, and metrics."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from bot import tracing
from bot.cluster import KubernetesClusters
from bot.configuration import LiveConfiguration, Unconfigured
from bot.operations.context import Context
from bot.ports import Budget, ClusterUnreachable, StoreUnavailable
from bot.redis_errors import advice
from bot.stop_signal import StopSignal
from bot.store import Leases, RedisReleaseStore, Retention, connect
from bot.store.connection import DRIVER, open_client
from bot.store.health import check_settings
from bot.wiring import lanes_of, make_context, make_queue, report_of, retention_of
from bot.work_queue import (
    DELIVERY,
    EVENTS,
    ONE_LANE,
    QUERIES,
    QUERY_JOB,
    RELEASES,
    ROUTES,
    WITHOUT_RECEIVERS,
    Lanes,
    Route,
    in_lane,
)
from config.catalog import CatalogSettings
from config.logs import configure_logging
from config.settings import Settings
from jobs.admission import AllowList, allow
from jobs.metrics import budgets_of, metrics_roles
from jobs.redis_back import wait_for_redis
from jobs.renewal import renewal
from jobs.resources import JobResources, provide
from jobs.rq_worker import make_worker
from jobs.sealing import Sealer
from jobs.supervisor import Board, Renew, Supervisor, WorkerRole, is_alive
from jobs.ticker import run_ticker
from jobs.watcher import watch_clusters

log = logging.getLogger(__name__)

WORKER_NICENESS = 5
"""Niceness of the workers that a person does not wait for: a third of the weight each, so that a
question gets a whole core of two."""

QUERIES_GROW_BY_BYTES = 128 * 2**20

JOB_MODULES = (
    "jobs.answer_start",
    "jobs.advance_release",
    "jobs.deliver_release",
    "jobs.follow_rollout",
    "jobs.run_query",
    "jobs.sweep",
    "jobs.report_outside_change",
    "jobs.send_events",
    "jobs.watch_after",
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="pilothouse worker", description="Runs releases, queries and deliveries."
    )
    parser.add_argument(
        "--processes",
        type=_positive,
        metavar="N",
        help="workers for the releases of each cluster (default 2; 1 with several clusters)",
    )
    parser.add_argument(
        "--without-watcher",
        action="store_true",
        help="do not watch the clusters here: `pilothouse watcher` runs elsewhere",
    )
    options = parser.parse_args(argv)
    try:
        live = LiveConfiguration("worker")
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    configure_logging(live.settings.log_level, live.settings.log_format)

    def crew(settings: Settings, catalog: CatalogSettings) -> Crew:
        context = make_context(settings, catalog)
        prepare(JobResources(settings.redis_url, context), JOB_MODULES)
        prepare_clusters(context)
        report = report_of(settings.redis_url)
        watch = partial(watch_clusters, context, report=report)
        lanes = lanes_of(context.catalog)
        processes = options.processes or (1 if lanes.names else 2)
        return Crew(
            settings,
            processes=processes,
            watch=None if options.without_watcher else watch,
            lanes=lanes,
            budgets=budgets_of(context.catalog),
            retention=retention_of(catalog),
            routes=ROUTES if context.catalog.receivers else WITHOUT_RECEIVERS,
        )

    def renewed(board: Board) -> Renew:
        return renewal(live, board, lambda *changed: crew(*changed).roles(board))

    return supervise(crew(live.settings, live.catalog), renewed)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of processes: use 1 or more")
    return int(text)


def prepare(resources: JobResources, modules: Sequence[str]) -> None:
    """Before the fork: what jobs share, and the imports that each would otherwise pay for. Opens no
    connection."""
    provide(resources)
    for module in modules:
        importlib.import_module(module)


def prepare_clusters(context: Context) -> None:
    """Kubeconfigs and certificates, which every job would otherwise read again. A cluster that
    cannot be used yet is reported by its jobs."""
    clusters = cast(KubernetesClusters, context.clusters)
    for name in clusters.names():
        with contextlib.suppress(ClusterUnreachable):
            clusters[name].prepare()


@dataclass(frozen=True)
class Crew:
    """What a worker's supervisor starts. ``processes`` is the number of workers for the releases of
    each lane. ``watch`` is the watcher's whole life, given a function to call while it is alive."""

    settings: Settings
    processes: int
    watch: Callable[[Callable[[], None]], None] | None
    routes: Mapping[str, Route] = field(default_factory=lambda: ROUTES)
    query_job: str = QUERY_JOB
    first_wakes: Sequence[str] = ("sweep",)
    lanes: Lanes = ONE_LANE
    budgets: tuple[Budget, ...] = ()
    retention: Retention = field(default_factory=Retention)

    def roles(self, board: Board) -> list[WorkerRole]:
        url = self.settings.redis_url
        found = [
            WorkerRole(
                "ticker",
                partial(_tick_for_ever, url, board, self),
                given=(url, self.lanes, self.retention, tuple(self.routes.items())),
            )
        ]
        queues = _queues(self.processes, self.lanes)
        if any(route.queue == EVENTS for route in self.routes.values()):
            queues["events"] = EVENTS
        found += [self._worker(name, queue, board) for name, queue in queues.items()]
        if self.watch is not None:
            found.append(WorkerRole("watcher", partial(self.watch, partial(board.beat, "watcher"))))
        return found + metrics_roles(self.settings, board, self.lanes, self.budgets)

    def _worker(self, name: str, queue: str, board: Board) -> WorkerRole:
        url = self.settings.redis_url
        niceness = WORKER_NICENESS if queue.startswith(RELEASES) else 0
        allowed = allow(self.routes, self.query_job, queue)
        came_to_work, traces = partial(board.note_work, name), self.settings.traces
        run = partial(_work, queue, url, niceness, came_to_work, allowed, traces=traces)
        return WorkerRole(name, run, partial(end_orphaned_leases, url))


def supervise(crew: Crew, renewed: Callable[[Board], Renew] | None = None) -> int:
    """Until SIGTERM or SIGINT. ``renewed`` says how the crew follows its configuration."""
    board = Board()
    roles = crew.roles(board)
    log.info("worker started: %s", ", ".join(role.name for role in roles))
    code = Supervisor(roles, board, renewed(board) if renewed else None).run()
    log.info("worker stopped")
    return code


def _queues(processes: int, lanes: Lanes) -> dict[str, str]:
    """By the names of the workers. What is about no cluster, or about several, has workers of its
    own."""
    queues = {"queries": QUERIES, "delivery": DELIVERY}
    for lane in lanes.names:
        queues[f"queries-{lane}"] = in_lane(QUERIES, lane)
    for lane in lanes.names or ("",):
        names = (f"{in_lane('releases', lane)}-{number + 1}" for number in range(processes))
        queues |= dict.fromkeys(names, in_lane(RELEASES, lane))
    return queues


def _tick_for_ever(url: str, board: Board, crew: Crew) -> None:
    stop = StopSignal().on_signals()
    client = connect(url)
    leases = Leases(client)
    beat = partial(board.beat, "ticker")
    wait_for_redis(client, stop, beat)
    end_orphaned_leases(
        url
    )  # at the first start too: a worker that was killed whole left nobody to do it
    try:
        for line in check_settings(client):
            log.warning("%s", line)
        for wake_id in crew.first_wakes:
            leases.wake(wake_id, 0)
    except StoreUnavailable as error:
        log.warning("%s; retrying", error)
        time.sleep(0.5)
        raise SystemExit(1) from error
    run_ticker(
        leases,
        make_queue(url, crew.lanes, crew.routes),
        stop,
        beat,
        Sealer(RedisReleaseStore(client, retention=crew.retention)),
    )


def _work(
    queue: str,
    url: str,
    niceness: int,
    came_to_work: Callable[[], None],
    allowed: AllowList,
    *,
    traces: bool,
) -> None:
    wait_for_redis(connect(url))
    os.nice(niceness)
    tracing.begin(queue, wanted=traces)
    # Its own client: RQ sets time-outs on it that suit blocking reads.
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 3)
    connection = open_client(
        url, socket_connect_timeout=2.0, health_check_interval=30, retry=retry, driver_info=DRIVER
    )
    try:
        # A query reads what it likes, logs and whole documents: its worker makes room for a new one
        # when that has left it large.
        grows_by = QUERIES_GROW_BY_BYTES if queue.startswith(QUERIES) else None
        worker = make_worker(
            queue,
            connection,
            allowed=allowed,
            came_to_work=came_to_work,
            report=report_of(url),
            memory_grows_by_bytes=grows_by,
        )
        worker.work(logging_level=None)
    except RedisError as error:
        log.warning("%s: %s", queue, advice(error) or error)
        raise SystemExit(1) from error
    finally:
        tracing.end()
    if not worker.makes_room:
        raise SystemExit(
            1
        )  # RQ gave up, on a time-out of Redis for instance: it may have taken a job along


def end_orphaned_leases(url: str) -> None:
    """After a worker died: hands out at once what its jobs held and what it had taken from the
    queue."""
    try:
        ended = Leases(connect(url)).expedite(is_alive, waiting=True)
    except StoreUnavailable as error:
        log.warning("%s; leases of lost jobs will expire", error)
    else:
        if ended:
            log.warning("%d lost or waiting jobs handed out again", ended)
