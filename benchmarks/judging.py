"""What one look at metrics costs a worker: 200 pods whose requests are counted by method and
status, 24 intervals of a hold, failed and slow requests.

CPU of the worker's thread, the best of several looks; a server in another thread answers as
Prometheus does.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from benchmarks.rows import Row
from bot.prometheus import Prometheus, PrometheusAddress
from bot.releases.facts.answers import Cell
from bot.releases.facts.counters import (
    LatencyRules,
    Matcher,
    MetricRules,
    SampleQuery,
    Selector,
    SeriesSeen,
)
from bot.releases.facts.plan import Side
from bot.releases.judge.counters import Counting, Pods, by_errors, by_latency, count, usable
from bot.releases.judge.verdicts import Demand, compare

PODS, CANDIDATES, INTERVALS, LOOKS = 200, 20, 24, 10
SCRAPE_MS, INTERVAL_MS, SCRAPES = 15_000, 16_500, 7
GOAL_MS = 20.0
NOW = 1_800_000_000_000
NAMES = tuple(f"hello-5d4f8b9c7d-{number:05d}" for number in range(PODS))
REQUESTS = Selector("http_requests_total")
ERRORS = Selector("http_requests_total", (Matcher("code", "=~", "5.."),))
BUCKETS = Selector("http_request_duration_seconds_bucket")
LATENCY = LatencyRules(BUCKETS, 500, 0.5)
RULES = MetricRules(REQUESTS, ERRORS, LATENCY)
DEMAND = Demand(0.01, 0.001, 0.0025, 200)
WHOSE = Pods(
    {
        name: Side.CANDIDATE if number < CANDIDATES else Side.STABLE
        for number, name in enumerate(NAMES)
    },
    frozenset(),
)


def answer(labels: list[dict[str, str]]) -> bytes:
    times = [(NOW - SCRAPE_MS * (SCRAPES - number)) / 1000 for number in range(SCRAPES)]
    result = [
        {
            "metric": one | {"pod": name, "namespace": "shop", "instance": "10.0.0.1:8080"},
            "values": [[at, str(60 * number)] for number, at in enumerate(times)],
        }
        for name in NAMES
        for one in labels
    ]
    data: dict[str, object] = {"resultType": "matrix", "result": result}
    return orjson.dumps({"status": "success", "data": data})


COUNTED = answer(
    [
        {"__name__": "http_requests_total", "method": method, "code": code}
        for method in ("GET", "POST")
        for code in ("200", "404", "500")
    ]
)
TIMED = answer([{"__name__": BUCKETS.metric, "le": bound} for bound in ("0.5", "+Inf")])


class SimulatedApi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        body = TIMED if BUCKETS.metric.encode() in asked else COUNTED
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimulatedApi)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def cells() -> tuple[Cell, ...]:
    chance = random.Random(1)
    return tuple(
        Cell(WHOSE.sides[name], name, at * INTERVAL_MS, 60, int(chance.random() < 0.05))
        for name in NAMES
        for at in range(INTERVALS)
    )


def best_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(LOOKS):
        began = time.thread_time()
        work()
        taken.append((time.thread_time() - began) * 1000)
    return min(taken)


def added(series: Sequence[SeriesSeen], counting: Counting) -> None:
    begins = NOW - 2 * SCRAPE_MS - SCRAPE_MS // 2
    found = count(usable(series), WHOSE, begins, begins + INTERVAL_MS, counting)
    assert len(found) == PODS


def run() -> list[Row]:
    known = cells()
    since = NOW - SCRAPES * SCRAPE_MS
    errors = SampleQuery((REQUESTS, ERRORS), "pod", NAMES, since)
    slow = SampleQuery((BUCKETS,), "pod", NAMES, since, (0.5, float("inf")))
    with serving() as url:
        source = Prometheus(PrometheusAddress(url))
        counted, timed = source.read(errors, NOW).series, source.read(slow, NOW).series

        def read() -> None:
            assert source.read(errors, NOW).series and source.read(slow, NOW).series

        reading = best_ms(read)

    def counted_once() -> None:
        added(counted, by_errors(RULES))
        added(timed, by_latency(LATENCY))

    counting = best_ms(counted_once)
    judging = best_ms(lambda: (compare(known, DEMAND), compare(known, DEMAND)))
    settings = f"{PODS} pods, {INTERVALS} intervals, 2 sources"
    return [
        Row(
            "count and judge what was scraped, CPU",
            "ms",
            counting + judging,
            f"{GOAL_MS:g} ms",
            counting + judging <= GOAL_MS,
            settings=settings,
        ),
        Row(
            "receive and decode two answers, CPU",
            "ms",
            reading,
            "measured",
            True,
            settings=f"{(len(COUNTED) + len(TIMED)) / 1e6:.1f} MB",
        ),
    ]
