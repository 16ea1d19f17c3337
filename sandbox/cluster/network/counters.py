"""What the demo applications count of their requests, as a client library of Prometheus shows it,
and visitors who make them."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.cluster.network.routing import Routing

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
USUAL_S = 0.02
EVERY_S = 0.1
METRICS_PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class PodCounters:
    """Of one pod since it began."""

    by_code: Counter[int] = field(default_factory=Counter)
    by_bucket: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def count(self, status: int, took_s: float) -> None:
        self.by_code[status] += 1
        self.by_bucket[bisect_left(BOUNDS, took_s)] += 1
        self.seconds += took_s

    def text(self) -> str:
        lines = ["# TYPE http_requests_total counter"]
        lines += [
            f'http_requests_total{{code="{code}"}} {number}'
            for code, number in sorted(self.by_code.items())
        ]
        lines.append("# TYPE http_request_duration_seconds histogram")
        total = 0
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), self.by_bucket, strict=True):
            total += number
            lines.append(f'http_request_duration_seconds_bucket{{le="{bound}"}} {total}')
        lines.append(f"http_request_duration_seconds_sum {self.seconds:.3f}")
        lines.append(f"http_request_duration_seconds_count {total}")
        return "\n".join(lines) + "\n"


class Counters:
    """By the uid of a pod."""

    def __init__(self) -> None:
        self._pods: defaultdict[str, PodCounters] = defaultdict(PodCounters)

    def count(self, uid: str, status: int, took_s: float) -> None:
        self._pods[uid].count(status, took_s or USUAL_S)

    def text_of(self, uid: str) -> str:
        return self._pods[uid].text()


async def visit(routing: Routing, per_second: float) -> None:
    """Requests to each Service that has ready pods, for ever: nobody waits for the answers."""
    due = 0.0
    while True:
        await asyncio.sleep(EVERY_S)
        due += per_second * EVERY_S
        count, due = int(due), due % 1
        for service in routing.services():
            for number in range(count):
                pod = routing.choose(service, f"10.9.0.{number}")
                if pod is not None:
                    routing.ask(pod, "/", "10.9.0.1")
