"""The Metrics port over pods that are modelled: they serve requests, and are scraped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import nan

from bot.releases.facts.counters import SampleQuery, SamplesSeen, SeriesSeen
from bot.releases.judge.counters import bound_of

Labels = tuple[tuple[str, str], ...]


@dataclass
class SimulatedPrometheus:
    """Each pod that gets traffic serves ``per_second`` requests. ``failing`` and ``slow``: the
    share of an image's. Evenly spread, so that nothing is left to chance."""

    scrape_ms: int = 15_000
    per_second: float = 50.0
    failing: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    away: str = ""
    pod_label: str = "pod"
    exposes_nan: bool = False
    unscraped: set[str] = field(default_factory=set)  # images
    questions: int = 0
    _points: dict[tuple[str, str, Labels], list[tuple[int, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _served: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0] * 3))
    _at: int = 0

    def serve(self, now: int, images: Mapping[str, str], reached: Collection[str]) -> None:
        """Time passes: of the pods ``images``, those ``reached`` got requests."""
        at = self._at or now - 20 * self.scrape_ms
        while at + self.scrape_ms <= now:
            at += self.scrape_ms
            for pod, image in images.items():
                self._scrape(at, pod, image, reached)
        self._at = at

    def restart(self, pod: str) -> None:
        self._served.pop(pod, None)

    def _scrape(self, at: int, pod: str, image: str, reached: Collection[str]) -> None:
        served = self._served[pod]
        if pod in reached:
            count = self.per_second * self.scrape_ms / 1000
            served[0] += count
            served[1] += count * self.failing.get(image, 0.0)
            served[2] += count * self.slow.get(image, 0.0)
        if image in self.unscraped:
            return
        all_of, bad, slow = (float(int(one)) for one in served)
        at += sum(map(ord, pod)) * 97 % self.scrape_ms - self.scrape_ms
        rows: list[tuple[str, Labels, float]] = [
            ("http_requests_total", (("code", "200"),), all_of - bad),
            ("http_request_duration_seconds_bucket", (("le", "0.5"),), all_of - slow),
            ("http_request_duration_seconds_bucket", (("le", "+Inf"),), all_of),
        ]
        if bad:  # as client libraries do: no series before the first
            rows.append(("http_requests_total", (("code", "500"),), bad))
        for metric, labels, value in rows:
            self._points[metric, pod, labels].append((at, nan if self.exposes_nan else value))

    def read(self, query: SampleQuery, now: int) -> SamplesSeen:
        self.questions += 1
        if self.away:
            return SamplesSeen(away=self.away)
        if query.pod_label != self.pod_label:
            return SamplesSeen()
        return SamplesSeen(
            tuple(
                SeriesSeen(metric, pod, dict(labels), inside)
                for (metric, pod, labels), points in self._points.items()
                if pod in query.pods
                and any(one.matches(metric, dict(labels)) for one in query.selectors)
                and (not query.bounds or bound_of(dict(labels)) in query.bounds)
                and (inside := tuple(one for one in points if query.since < one[0] <= now))
            )
        )
