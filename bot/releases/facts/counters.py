"""Counters that an app's pods expose: what is asked for, and what was counted of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from bot.releases.facts.answers import Cell


@dataclass(frozen=True)
class Matcher:
    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    @property
    def text(self) -> str:
        """
        >>> Matcher("code", "=~", "5..").text, Matcher("path", "=", 'a"b').text
        ('code=~"5.."', 'path="a\\\\"b"')
        """
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{escaped}"'

    def matches(self, labels: Mapping[str, str]) -> bool:
        """A label that is not there is empty, as in Prometheus."""
        value = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (value == self.value) is (self.operator == "=")
        return bool(_compiled(self.value).fullmatch(value)) is (self.operator == "=~")


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(frozen=True)
class Selector:
    """Series of one metric, by their labels."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    @property
    def text(self) -> str:
        """
        >>> Selector("http_requests_total", (Matcher("code", "=~", "5.."),)).text
        'http_requests_total{code=~"5.."}'
        """
        inside = ",".join(one.text for one in self.matchers)
        return f"{self.metric}{{{inside}}}" if inside else self.metric

    def matches(self, metric: str, labels: Mapping[str, str]) -> bool:
        return metric == self.metric and all(one.matches(labels) for one in self.matchers)


@dataclass(frozen=True)
class LatencyRules:
    """``histogram`` selects buckets; ``bound`` is the upper bound of one of them, in the
    histogram's own unit."""

    histogram: Selector
    slower_than_ms: int
    bound: float


@dataclass(frozen=True)
class MetricRules:
    """What is counted, pod by pod. ``window_ms``: the last part of a hold that counts; None: all
    of it. ``url``: where people look. ``scrape_ms``: between two scrapes, where the
    catalog says it."""

    requests: Selector
    errors: Selector
    latency: LatencyRules | None = None
    pod_label: str = "pod"
    window_ms: int | None = None
    min_requests: int = 200
    url: str = ""
    scrape_ms: int = 0


Source = Literal["errors", "latency"]


@dataclass(frozen=True)
class SampleQuery:
    """Raw samples of these pods since ``since``, in milliseconds of our clock. ``bounds``: of the
    buckets that are wanted of a histogram."""

    selectors: tuple[Selector, ...]
    pod_label: str
    pods: tuple[str, ...]
    since: int
    bounds: tuple[float, ...] = ()


class SeriesSeen(NamedTuple):
    """One counter of one pod; a look has thousands. ``points``: milliseconds of our clock and
    value, oldest first."""

    metric: str
    pod: str
    labels: Mapping[str, str]
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class SamplesSeen:
    """``away``: why there are none."""

    series: tuple[SeriesSeen, ...] = ()
    away: str = ""


@dataclass(frozen=True)
class MetricsSeen:
    """``since``: from when on samples were asked for."""

    since: int
    errors: SamplesSeen
    latency: SamplesSeen | None = None


@dataclass(frozen=True)
class Counts:
    """What one source counted in one window. Everything is counted up to ``through``, in intervals
    of ``interval_ms`` that begin at ``begins_at``; 0: none was scraped yet.

    ``before``: stable's were counted before the switch, and stand at the times of the candidate's.
    ``away``: why the last answer said nothing more.
    """

    source: Source
    begins_at: int
    ends_at: int | None = None
    through: int = 0
    interval_ms: int = 0
    scrape_ms: int = 0
    cells: tuple[Cell, ...] = ()
    last_at: int = 0
    before: bool = False
    away: str = ""
