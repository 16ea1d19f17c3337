"""Health and metrics of a worker over HTTP: /healthz (are the processes alive), /readyz (is Redis
reachable), /metrics (Prometheus)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bot.ports import StoreUnavailable
from bot.store import Leases, connect
from bot.work_queue import RqWorkQueue
from config.settings import Settings
from jobs.supervisor import Board

log = logging.getLogger(__name__)

BEAT_WITHIN_S = 20.0
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

    def __init__(self, leases: Leases, queue: RqWorkQueue, board: Board) -> None:
        self._leases = leases
        self._queue = queue
        self._board = board

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "pilothouse_process_up", "1 while the process runs", labels=["process"]
        )
        restarts = CounterMetricFamily(
            "pilothouse_process_restarts", "Times it was started again", labels=["process"]
        )
        for pulse in self._board.read():
            up.add_metric([pulse.name], float(bool(pulse.pid)))
            restarts.add_metric([pulse.name], pulse.restarts)
        yield up
        yield restarts
        reachable = GaugeMetricFamily("pilothouse_redis_up", "1 while Redis answers")
        try:
            found = list(self._stored())
        except StoreUnavailable:
            reachable.add_metric([], 0)
            yield reachable
            return
        reachable.add_metric([], 1)
        yield reachable
        yield from found

    def _stored(self) -> Iterator[Metric]:
        backlog = self._leases.backlog()
        yield GaugeMetricFamily(
            "pilothouse_active_releases", "Releases that are not final", value=backlog.active
        )
        yield GaugeMetricFamily("pilothouse_due", "Wake-ups that are planned", value=backlog.due)
        yield GaugeMetricFamily(
            "pilothouse_leased", "Wake-ups that are being worked on", value=backlog.leased
        )
        yield GaugeMetricFamily(
            "pilothouse_overdue_seconds",
            "How late the earliest is",
            value=backlog.overdue_ms / 1000,
        )
        lengths = GaugeMetricFamily(
            "pilothouse_queue_length", "Jobs that wait for a worker", labels=["queue"]
        )
        for name, length in self._queue.lengths().items():
            lengths.add_metric([name], length)
        yield lengths
        jobs = CounterMetricFamily("pilothouse_jobs", "Jobs that ended", labels=["kind", "outcome"])
        seconds = CounterMetricFamily(
            "pilothouse_job_seconds", "Time spent in jobs", labels=["kind"]
        )
        refused = CounterMetricFamily(
            "pilothouse_jobs_refused",
            "Jobs in a queue that Pilothouse did not enqueue",
            labels=["queue"],
        )
        taken = 0
        for name, value in self._leases.counters().items():
            match name.split(":"):
                case ["jobs", kind, outcome]:
                    jobs.add_metric([kind, outcome], value)
                case ["job_ms", kind]:
                    seconds.add_metric([kind], value / 1000)
                case ["jobs_refused", queue]:
                    refused.add_metric([queue], value)
                case ["leases_taken_over"]:
                    taken = value
                case _:
                    pass  # counted by a newer version
        yield jobs
        yield seconds
        yield refused
        yield CounterMetricFamily(
            "pilothouse_leases_taken_over", "Jobs that were lost and run again", value=taken
        )


def make_server(
    host: str, port: int, leases: Leases, queue: RqWorkQueue, board: Board
) -> ThreadingHTTPServer:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(leases, queue, board))

    class Handler(BaseHTTPRequestHandler):
        server_version = "pilothouse"
        sys_version = ""

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._reply_health(ailing(board, time.monotonic()))
                case "/readyz":
                    self._reply_health(_unready(leases))
                case "/metrics":
                    self._reply(200, generate_latest(registry), CONTENT_TYPE_LATEST)
                case _:
                    self._reply(404, b"not found\n", "text/plain")

        def _reply_health(self, problems: tuple[str, ...]) -> None:
            text = "".join(f"{line}\n" for line in problems) or "ok\n"
            self._reply(503 if problems else 200, text.encode(), "text/plain; charset=utf-8")

        def _reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
            log.debug(format, *args)

    return ThreadingHTTPServer((host, port), Handler)


def serve_metrics(settings: Settings, board: Board) -> None:
    """A process of its own, so that the supervisor keeps to one thread."""
    client = connect(settings.redis_url)
    leases = Leases(client)
    port = settings.metrics_port or 0
    with make_server(
        settings.host, port, leases, RqWorkQueue(client, wake=leases.wake), board
    ) as server:
        host, bound = server.server_address[:2]
        log.info("health and metrics on http://%s:%s", host, bound)
        server.serve_forever()


def _unready(leases: Leases) -> tuple[str, ...]:
    try:
        leases.backlog()
    except StoreUnavailable as error:
        return (str(error),)
    return ()
