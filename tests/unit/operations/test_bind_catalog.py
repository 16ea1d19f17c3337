"""The catalog's settings in the core's words."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from bot.operations.bind_catalog import bind_catalog
from bot.releases.facts.rules import ProbeRules, Rules
from config.catalog import parse_catalog

NOTHING_BY_DEFAULT = """
clusters: {local: {in_cluster: true}}
apps:
  hello:
    scale: {min: 2, max: 9}
    probe: {url: "http://hello.example.com/", path: /healthz, requests: 3}
    canary: {steps: [10], hold: 7m, promote: automatic, mode: shift, max_candidates: 4}
    bluegreen: {rollback_window: 7m, promote: automatic, preview: true, settle: keep}
    on_failure: pause
    strategy: canary
    ready_within: 7m
    crash_loop: {restarts: 7, for: 7m}
    approvals:
      {start: 7, promote: 7, requester_may_approve: true, expires: 7m, on_expiry: abort,
       confirm: false, remind: [7m]}
    managed_elsewhere: warn
    autoscaler: {min_replicas: raise}
    watch_after: 7m
    evidence: {logs: "off"}
    links: {diff: "https://git.example.com/{from}...{to}"}
"""


def unchanged(bound: Any, default: Any) -> list[str]:
    """Names of the fields that still have their default."""
    return [
        name
        for field in fields(bound)
        for mine, theirs in [(getattr(bound, field.name), getattr(default, field.name))]
        for name in (
            unchanged(mine, theirs or ProbeRules()) if is_dataclass(mine) else [field.name]
        )
        if is_dataclass(mine) or mine == theirs
    ]


def test_every_rule_of_a_release_comes_from_the_catalog() -> None:
    hello = bind_catalog(parse_catalog(NOTHING_BY_DEFAULT)).apps["hello"]
    assert unchanged(hello.rules, Rules()) == []
