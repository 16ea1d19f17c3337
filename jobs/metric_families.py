"""The counters in Redis as Prometheus' families. The names of counters are those of bot.tally,
bot.store.outcomes and the scripts; the cluster is last, for it may hold a colon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from bot.metric_table import metric
from bot.store.outcomes import BOUNDS_S

Labels = tuple[str, ...]
_COUNTED = {
    "jobs": ("pilothouse_jobs", ("kind", "outcome")),
    "jobs_refused": ("pilothouse_jobs_refused", ("queue",)),
    "releases": ("pilothouse_releases", ("outcome", "strategy", "cluster")),
    "kubernetes": ("pilothouse_kubernetes_requests", ("method", "code", "cluster")),
    "kubernetes_waits": ("pilothouse_kubernetes_budget_waits", ("cluster",)),
    "slack": ("pilothouse_slack_calls", ("method", "code")),
    "withheld": ("pilothouse_writes_withheld", ("promise",)),
}
"""What is counted: its metric, and the labels in the order of the counter's name."""
_TIMES = {
    "job_ms": "pilothouse_job_seconds",
    "kubernetes_ms": "pilothouse_kubernetes_request_seconds",
    "slack_ms": "pilothouse_slack_call_seconds",
    "kubernetes_waited_ms": "pilothouse_kubernetes_budget_wait_seconds",
}
_BOUNDS = (*map(str, BOUNDS_S), "+Inf")


def gauge(name: str) -> GaugeMetricFamily:
    spec = metric(name)
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)


def counter(name: str) -> CounterMetricFamily:
    spec = metric(name)
    return CounterMetricFamily(spec.name, spec.help, labels=spec.labels)


def counted_families(counters: Mapping[str, int]) -> Iterator[Metric]:
    """Every family, also while nothing was counted; names of a newer version are left out."""
    families = {name: counter(name) for name, _ in _COUNTED.values()}
    families |= {name: counter(name) for name in _TIMES.values()}
    for name, number in counters.items():
        kind, _, rest = name.partition(":")
        if kind in _COUNTED:
            _add(families, kind, rest, number)
        elif kind in _TIMES:
            families[_TIMES[kind]].add_metric([rest], number / 1000)
    yield from families.values()
    lost = counter("pilothouse_leases_taken_over")
    lost.add_metric([], counters.get("leases_taken_over", 0))
    yield lost
    yield _durations(counters)


def clusters_in(counters: Mapping[str, int]) -> tuple[str, ...]:
    """Those that any process has asked something."""
    first = "kubernetes_ms:"
    return tuple(sorted(name.removeprefix(first) for name in counters if name.startswith(first)))


def _add(families: Mapping[str, CounterMetricFamily], kind: str, rest: str, number: int) -> None:
    name, labels = _COUNTED[kind]
    found = rest.split(":", len(labels) - 1)
    if len(found) == len(labels):
        value = dict(zip(labels, found, strict=True))
        families[name].add_metric([value[label] for label in metric(name).labels], number)


def _durations(counters: Mapping[str, int]) -> HistogramMetricFamily:
    spec = metric("pilothouse_release_seconds")
    family = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
    within: dict[Labels, Counter[str]] = {}
    for name, number in counters.items():
        if name.startswith("release_within:"):
            bound, *labels = name.split(":", 4)[1:]
            within.setdefault(tuple(labels), Counter())[bound] += number
    for about, found in within.items():
        so_far, buckets = 0, []
        for bound in _BOUNDS:
            so_far += found[bound]
            buckets.append((bound, float(so_far)))
        total_ms = counters.get(f"release_ms:{':'.join(about)}", 0)
        family.add_metric(list(about), buckets, total_ms / 1000)
    return family
