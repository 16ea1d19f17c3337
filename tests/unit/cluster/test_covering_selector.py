"""One list for two Deployments: it holds what both match, and nothing of other apps."""

from __future__ import annotations

from typing import Any

import pytest

from bot.cluster.connect import label_query
from bot.cluster.observe import covering_selector


def query_of(*labels: dict[str, str], **rules: Any) -> str | None:
    covering = covering_selector([{"matchLabels": one, **rules} for one in labels])
    return None if covering is None else label_query(covering)["labelSelector"]


HELLO = {"app": "hello"}


@pytest.mark.parametrize(
    ("stable", "candidate", "query"),
    [
        (HELLO, {"app": "hello", "track": "canary"}, "app=hello"),
        (HELLO, {"app": "hello-green", "color": "green"}, "app in (hello,hello-green)"),
        ({"app": "hello-green", "color": "green"}, HELLO, "app in (hello,hello-green)"),
        (
            {"app": "hello", "tier": "web"},
            {"app": "hello-green", "tier": "web"},
            "app in (hello,hello-green),tier in (web)",
        ),
        ({"app": "hello", "tier": "web"}, {"app": "hello-green", "team": "a"}, None),
        (HELLO, {"name": "hello-green"}, None),
    ],
)
def test_one_selector_covers_both(
    stable: dict[str, str], candidate: dict[str, str], query: str | None
) -> None:
    assert query_of(stable, candidate) == query


def test_of_one_deployment_its_own_selector_is_taken() -> None:
    assert query_of(HELLO) == "app=hello"
    assert covering_selector([]) is None


def test_rules_are_not_merged() -> None:
    rules = [{"key": "track", "operator": "NotIn", "values": ["canary"]}]
    assert query_of(HELLO, {"app": "hello-green"}, matchExpressions=rules) is None
