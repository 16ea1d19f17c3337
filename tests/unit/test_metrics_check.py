"""What `pilothouse doctor` says of an app's queries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bot.metrics_check import inspect_metrics
from bot.prometheus import PrometheusAway
from bot.releases.facts.counters import LatencyRules, Matcher, MetricRules, Selector

REQUESTS = Selector("http_requests_total")
ERRORS = Selector("http_requests_total", (Matcher("code", "=~", "5.."),))
BUCKETS = Selector("http_request_duration_seconds_bucket")
RULES = MetricRules(REQUESTS, ERRORS, LatencyRules(BUCKETS, 500, 0.5))


@dataclass
class SimulatedSource:
    """Two pods of hello, and one of another app, by one label."""

    label: str = "pod"
    away: str = ""
    scrapes: float = 40.0

    def vector(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        if self.away:
            raise PrometheusAway(self.away)
        if "count_over_time" in query:
            return [({}, self.scrapes)]
        if "count by (le)" in query:
            return [({"le": one}, 2.0) for one in ("0.1", "0.5", "+Inf")]
        if "nothing" in query:
            return []
        asked = re.match(r"sum by \((\w+)\)", query)
        if asked is None or asked[1] != self.label:
            return [({}, 1_200.0)]
        value = 2.0 if "5.." in query else 500.0
        return [({self.label: one}, value) for one in ("hello-5d-a", "hello-5d-b", "shop-1-c")]


def lines(rules: MetricRules = RULES, **source: Any) -> list[str]:
    found = inspect_metrics(SimulatedSource(**source).vector, rules, "hello", 120_000)
    return [f"{'!! ' if one.is_problem else ''}{one.text}" for one in found]


def test_numbers_of_the_app_alone_are_shown() -> None:
    assert lines() == [
        "2 pods by the label `pod`; 1,000 requests in 10m, 0.4% failed",
        "scraped every 15 s",
        "`http_request_duration_seconds_bucket` has a bucket that ends at 0.5",
    ]


@pytest.mark.parametrize(
    ("rules", "source", "line"),
    [
        (RULES, {"label": "exported_pod"}, "set `judge.pod_label: exported_pod`"),
        (RULES, {"label": "instance"}, "no series of a pod of hello by the label `pod`, nor by"),
        (replace(RULES, requests=Selector("nothing_total")), {}, "no series of `nothing_total`"),
        (
            replace(RULES, latency=LatencyRules(BUCKETS, 300, 0.3)),
            {},
            "has no bucket that ends at 0.3, but at 0.1, 0.5: choose another `slower_than`",
        ),
        (RULES, {"scrapes": 10.0}, "a hold of 120 s is too short for three scrapes, 240 s is"),
        (RULES, {"away": "Prometheus does not admit us (401)"}, "does not admit us (401)"),
    ],
)
def test_what_would_keep_the_judge_blind_is_a_problem(
    rules: MetricRules, source: dict[str, Any], line: str
) -> None:
    (found,) = [one for one in lines(rules, **source) if one.startswith("!! ")]
    assert line in found
