"""Health and metrics of a worker over HTTP: /healthz (are the processes alive), /readyz (was Redis
reached), /metrics (Prometheus)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from uuid import uuid4

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bot.operations.context import Catalog
from bot.operations.delivery.budgets import EDITS, posts_in
from bot.patience import patience_of
from bot.ports import Budget, StoreUnavailable
from bot.readiness import REACHED_WITHIN_S, Readiness
from bot.store import Leases, connect
from bot.tally import BUDGET_LEFT, KUBERNETES_BURST, LEFT_ALONE
from bot.wiring import make_queue
from bot.work_queue import ONE_LANE, Lanes, RqWorkQueue
from config.settings import Settings
from jobs.metric_families import clusters_in, counted_families, counter, gauge
from jobs.supervisor import Board, WorkerRole

log = logging.getLogger(__name__)

BEAT_WITHIN_S = 20.0
TEXT = "text/plain; charset=utf-8"
BEATING = ("ticker", "watcher")


def ailing(board: Board, now: float) -> tuple[str, ...]:
    """A line for each child that is down or has been silent for too long."""
    lines = []
    for pulse in board.read():
        if not pulse.pid:
            lines.append(f"{pulse.name} is down")
        elif pulse.name in BEATING and pulse.last_beat and now - pulse.last_beat > BEAT_WITHIN_S:
            lines.append(f"{pulse.name} has not responded for {now - pulse.last_beat:.0f} s")
    return tuple(lines)


class WorkerCollector(Collector):
    """Reads Redis when scraped: jobs run in several processes and keep nothing of their own."""

    def __init__(
        self, leases: Leases, queue: RqWorkQueue, board: Board, budgets: Sequence[Budget] = ()
    ) -> None:
        self._budgets = budgets
        self._leases = leases
        self._queue = queue
        self._board = board
        self._me = uuid4().hex

    def collect(self) -> Iterator[Metric]:
        build = gauge("pilothouse_build_info")
        build.add_metric([version("pilothouse"), python_version()], 1)
        yield build
        yield from self._configuration()
        yield from self._processes()
        reachable = gauge("pilothouse_redis_up")
        try:
            with patience_of(REACHED_WITHIN_S):
                # Every pod reads the same: one reports, so that a sum over pods counts once.
                found = list(self._stored()) if self._leases.is_reporter(self._me) else []
        except StoreUnavailable:
            reachable.add_metric([], 0)
            yield reachable
            return
        reachable.add_metric([], 1)
        yield reachable
        yield from found

    def _configuration(self) -> Iterator[Metric]:
        loaded_at, is_refused = self._board.read_configuration()
        refused = gauge("pilothouse_configuration_refused")
        refused.add_metric([], float(is_refused))
        loaded = gauge("pilothouse_configuration_loaded_seconds")
        loaded.add_metric([], loaded_at)
        yield from (refused, loaded)

    def _processes(self) -> Iterator[Metric]:
        up, restarts = gauge("pilothouse_process_up"), counter("pilothouse_process_restarts")
        memory = gauge("pilothouse_process_resident_bytes")
        cpu = counter("pilothouse_process_cpu_seconds")
        for pulse in self._board.read():
            up.add_metric([pulse.name], float(bool(pulse.pid)))
            restarts.add_metric([pulse.name], pulse.restarts)
            used = read_usage(pulse.pid) if pulse.pid else None
            if used is not None:
                memory.add_metric([pulse.name], used.resident_bytes)
                cpu.add_metric([pulse.name], used.cpu_seconds)
        yield from (up, restarts, memory, cpu)

    def _stored(self) -> Iterator[Metric]:
        backlog = self._leases.backlog()
        for name, value in (
            ("pilothouse_active_releases", backlog.active),
            ("pilothouse_due", backlog.due),
            ("pilothouse_leased", backlog.leased),
            ("pilothouse_overdue_seconds", backlog.overdue_ms / 1000),
        ):
            one = gauge(name)
            one.add_metric([], value)
            yield one
        lengths = gauge("pilothouse_queue_length")
        for name, length in self._queue.lengths().items():
            lengths.add_metric([name], length)
        yield lengths
        yield from self._budgets_left()
        counters = self._leases.counters()
        yield from self._of_clusters(clusters_in(counters))
        yield from counted_families(counters)

    def _of_clusters(self, clusters: Sequence[str]) -> tuple[Metric, ...]:
        state, left = (
            gauge("pilothouse_cluster_left_alone"),
            gauge("pilothouse_kubernetes_budget_left"),
        )
        alone = self._leases.noted([f"{LEFT_ALONE} {cluster}" for cluster in clusters])
        least = self._leases.noted([f"{BUDGET_LEFT} {cluster}" for cluster in clusters])
        for cluster, is_left, free in zip(clusters, alone, least, strict=True):
            state.add_metric([cluster], float(bool(is_left)))
            left.add_metric([cluster], KUBERNETES_BURST if free is None else free)
        return state, left

    def _budgets_left(self) -> tuple[Metric, ...]:
        left = gauge("pilothouse_slack_budget_left")
        waiting = gauge("pilothouse_slack_budget_waiting")
        for budget in self._budgets:
            free, behind = self._leases.left_in(budget)
            label = budget.name.removeprefix("slack ")
            left.add_metric([label], free)
            waiting.add_metric([label], behind)
        return left, waiting


@dataclass(frozen=True)
class Usage:
    resident_bytes: int
    cpu_seconds: float


def read_usage(pid: int, proc: Path = Path("/proc")) -> Usage | None:
    """Of a process of this machine, by proc(5); None where that cannot be read."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        pages = int((proc / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    ticks = int(fields[11]) + int(fields[12])  # utime and stime
    return Usage(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


def make_server(
    host: str,
    port: int,
    leases: Leases,
    queue: RqWorkQueue,
    board: Board,
    budgets: Sequence[Budget] = (),
) -> ThreadingHTTPServer:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(leases, queue, board, budgets))
    readiness = Readiness(leases.backlog)

    class Handler(BaseHTTPRequestHandler):
        server_version = "pilothouse"
        sys_version = ""

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._reply_health(ailing(board, time.monotonic()))
                case "/readyz":
                    found = readiness.read()
                    self._reply(200 if found.is_ready else 503, f"{found.text}\n".encode(), TEXT)
                case "/metrics":
                    self._reply(200, generate_latest(registry), CONTENT_TYPE_LATEST)
                case _:
                    self._reply(404, b"not found\n", "text/plain")

        def _reply_health(self, problems: tuple[str, ...]) -> None:
            text = "".join(f"{line}\n" for line in problems) or "ok\n"
            self._reply(503 if problems else 200, text.encode(), TEXT)

        def _reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
            log.debug(format, *args)

    return ThreadingHTTPServer((host, port), Handler)


def budgets_of(catalog: Catalog) -> tuple[Budget, ...]:
    channels = sorted({app.channel for app in catalog.apps.values() if app.channel})
    return EDITS, *map(posts_in, channels)


def metrics_roles(
    settings: Settings, board: Board, lanes: Lanes, budgets: tuple[Budget, ...]
) -> list[WorkerRole]:
    """One, or none without a port."""
    if settings.metrics_port is None:
        return []
    serve = partial(serve_metrics, settings, board, lanes, budgets)
    return [WorkerRole("metrics", serve, given=(settings.redis_url, lanes.names, budgets))]


def serve_metrics(
    settings: Settings, board: Board, lanes: Lanes = ONE_LANE, budgets: Sequence[Budget] = ()
) -> None:
    """A process of its own, so that the supervisor keeps to one thread."""
    client = connect(settings.redis_url)
    leases = Leases(client)
    port = settings.metrics_port or 0
    with make_server(
        settings.host, port, leases, make_queue(settings.redis_url, lanes), board, budgets
    ) as server:
        host, bound = server.server_address[:2]
        log.info("health and metrics on http://%s:%s", host, bound)
        server.serve_forever()
