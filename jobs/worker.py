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
from functools import partial
from typing import cast

from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from bot.cluster import KubernetesClusters
from bot.operations.context import Context
from bot.ports import ClusterUnreachable, StoreUnavailable
from bot.redis_errors import advice
from bot.stop_signal import StopSignal
from bot.store import Leases, connect
from bot.store.connection import DRIVER, open_client
from bot.store.health import check_settings
from bot.wiring import Unconfigured, load_configuration, make_context
from bot.work_queue import (
    DELIVERY,
    QUERIES,
    QUERY_JOB,
    RELEASES,
    ROUTES,
    Route,
    RqWorkQueue,
)
from config.logs import configure_logging
from config.settings import Settings
from jobs.admission import AllowList, allow
from jobs.metrics import serve_metrics
from jobs.resources import JobResources, provide
from jobs.rq_worker import make_worker
from jobs.supervisor import Board, Supervisor, WorkerRole, is_alive
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
    "jobs.run_query",
    "jobs.sweep",
    "jobs.report_outside_change",
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="pilothouse worker", description="Runs releases, queries and deliveries."
    )
    parser.add_argument(
        "--processes",
        type=_positive,
        default=2,
        metavar="N",
        help="workers for releases (default 2)",
    )
    parser.add_argument(
        "--without-watcher",
        action="store_true",
        help="do not watch the clusters here: `pilothouse watcher` runs elsewhere",
    )
    options = parser.parse_args(argv)
    try:
        settings, catalog = load_configuration("worker")
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    configure_logging(settings.log_level, settings.log_format)
    context = make_context(settings, catalog)
    prepare(JobResources(settings.redis_url, context), JOB_MODULES)
    prepare_clusters(context)
    watch = None if options.without_watcher else partial(watch_clusters, context)
    return supervise(settings, processes=options.processes, watch=watch)


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


def supervise(
    settings: Settings,
    *,
    processes: int,
    watch: Callable[[Callable[[], None]], None] | None,
    routes: Mapping[str, Route] = ROUTES,
    query_job: str = QUERY_JOB,
    first_wakes: Sequence[str] = ("sweep",),
) -> int:
    """Until SIGTERM or SIGINT. ``watch`` is the watcher's whole life, given a function to call
    while it is alive."""
    names = [f"releases-{number + 1}" for number in range(processes)]
    roles = ["ticker", "queries", "delivery", *names]
    roles += ["watcher"] * (watch is not None) + ["metrics"] * (settings.metrics_port is not None)
    board = Board(roles)
    url = settings.redis_url
    allowed = allow(routes, query_job)
    recover = partial(end_orphaned_leases, url)
    children = [WorkerRole("ticker", partial(_tick_for_ever, url, board, routes, first_wakes))]
    queues = {"queries": QUERIES, "delivery": DELIVERY} | dict.fromkeys(names, RELEASES)
    children += [
        WorkerRole(
            name,
            partial(
                _work,
                queue,
                url,
                WORKER_NICENESS if queue == RELEASES else 0,
                partial(board.note_work, name),
                allowed,
            ),
            recover,
        )
        for name, queue in queues.items()
    ]
    if watch is not None:
        children.append(WorkerRole("watcher", partial(watch, partial(board.beat, "watcher"))))
    if settings.metrics_port is not None:
        children.append(WorkerRole("metrics", partial(serve_metrics, settings, board)))
    log.info("worker started: %s", ", ".join(roles))
    code = Supervisor(children, board).run()
    log.info("worker stopped")
    return code


def _tick_for_ever(
    url: str, board: Board, routes: Mapping[str, Route], first_wakes: Sequence[str]
) -> None:
    stop = StopSignal().on_signals()
    client = connect(url)
    leases = Leases(client)
    end_orphaned_leases(
        url
    )  # at the first start too: a worker that was killed whole left nobody to do it
    try:
        for line in check_settings(client):
            log.warning("%s", line)
        for wake_id in first_wakes:
            leases.wake(wake_id, 0)
    except StoreUnavailable as error:
        log.warning("%s; retrying", error)
        time.sleep(0.5)
        raise SystemExit(1) from error
    run_ticker(
        leases,
        RqWorkQueue(client, wake=leases.wake, routes=routes),
        stop,
        partial(board.beat, "ticker"),
    )


def _work(
    queue: str,
    url: str,
    niceness: int,
    came_to_work: Callable[[], None],
    allowed: AllowList,
) -> None:
    os.nice(niceness)
    # Its own client: RQ sets time-outs on it that suit blocking reads.
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 3)
    connection = open_client(
        url, socket_connect_timeout=2.0, health_check_interval=30, retry=retry, driver_info=DRIVER
    )
    try:
        # A query reads what it likes, logs and whole documents: its worker makes room for a new one
        # when that has left it large.
        grows_by = QUERIES_GROW_BY_BYTES if queue == QUERIES else None
        worker = make_worker(
            queue,
            connection,
            allowed=allowed,
            came_to_work=came_to_work,
            memory_grows_by_bytes=grows_by,
        )
        worker.work(logging_level=None)
    except RedisError as error:
        log.warning("%s: %s", queue, advice(error) or error)
        raise SystemExit(1) from error
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
