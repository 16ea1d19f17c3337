"""The catalog's settings in the core's words."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from bot.operations.bind_catalog import bind_catalog
from bot.releases.facts.counters import LatencyRules, MetricRules, Selector
from bot.releases.facts.rules import JudgeRules, ProbeRules, Rules
from config.catalog import parse_catalog

NOTHING_BY_DEFAULT = """
clusters:
  local: {in_cluster: true, prometheus: {url: "http://prometheus:9090", scrape_interval: 7s}}
apps:
  hello:
    scale: {min: 2, max: 9}
    probe: {path: /healthz, requests: 3, status: 204, contains: ok, within: 700ms}
    judge: {worse_by: 7%, false_alarms: 7%, extend: 7m, requests: 'a_total{x="y"}',
      errors: 'b_total{x="y"}', latency: {histogram: 'c_bucket{x="y"}', slower_than: 7ms},
      pod_label: name, window: 7m, min_requests: 7}
    canary: {steps: [10], hold: 7m, promote: automatic, mode: shift, max_candidates: 4}
    bluegreen: {rollback_window: 7m, promote: automatic, preview: true, settle: keep, judge: ask}
    on_failure: pause
    strategy: canary
    strategies: [canary]
    emergency: [rolling]
    ready_within: 7m
    crash_loop: {restarts: 7, for: 7m}
    approvals:
      {start: {count: 7, from: [S0A], one_from_each: [S0A]},
       promote: {count: 7, from: [S0B], one_from_each: [S0B]},
       requester_may_approve: true, expires: 7m, on_expiry: abort,
       confirm: false, remind: [7m]}
    managed_elsewhere: warn
    autoscaler: {min_replicas: raise}
    watch_after: 7m
    evidence: {logs: "off"}
    notify: {outside: false, to: {failure: [C0OPS]}, mention: S0ONCALL}
    links: {diff: "https://git.example.com/{from}...{to}"}
"""
NOTHING = Selector("")
ABSENT_BY_DEFAULT = {
    "probe": ProbeRules(),
    "judge": JudgeRules(),
    "metrics": MetricRules(NOTHING, NOTHING),
    "latency": LatencyRules(NOTHING, 0, 0.0),
}


def unchanged(bound: Any, default: Any) -> list[str]:
    """Names of the fields that still have their default."""
    return [
        name
        for field in fields(bound)
        for mine, theirs in [(getattr(bound, field.name), getattr(default, field.name))]
        for name in (
            unchanged(mine, theirs or ABSENT_BY_DEFAULT[field.name])
            if is_dataclass(mine)
            else [field.name]
        )
        if is_dataclass(mine) or mine == theirs
    ]


def test_every_rule_of_a_release_comes_from_the_catalog() -> None:
    hello = bind_catalog(parse_catalog(NOTHING_BY_DEFAULT)).apps["hello"]
    assert unchanged(hello.rules, Rules()) == ["url"]


def test_a_probe_by_url_is_bound() -> None:
    catalog = parse_catalog(
        "clusters: {local: {in_cluster: true}}\napps: {hello: {probe: {url: 'http://hello'}}}"
    )
    assert bind_catalog(catalog).apps["hello"].rules.probe == ProbeRules(url="http://hello")


TWO = "clusters: {eu: {in_cluster: true}, onprem: {kubeconfig: ./k}}\n"


def test_an_app_has_its_own_place_channel_and_scale_in_one_cluster() -> None:
    text = (
        f"{TWO}apps: {{shop: {{clusters: [eu, onprem], channel: C0SHOP, overrides:"
        " {onprem: {namespace: shop-op, channel: C0OPS, scale: {min: 1, max: 5}}}}}\n"
    )
    apps = bind_catalog(parse_catalog(text)).apps
    found = [
        (one.target.namespace, one.channel, one.rules.scale_min, one.rules.scale_max)
        for one in apps.values()
    ]
    assert found == [("default", "C0SHOP", 0, None), ("shop-op", "C0OPS", 1, 5)]
