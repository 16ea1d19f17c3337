"""Which pods wait for the proxies before they end, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from bot.releases.planning.draining import drains, sleep_of, with_sleep
from tests.builders import a_template

HOOK: dict[str, Any] = {"preStop": {"httpGet": {"path": "/quit", "port": 80}}}


def hooked(template: Any) -> Any:
    template["spec"]["containers"][0]["lifecycle"] = HOOK
    return template


@pytest.mark.parametrize(
    ("grace", "seconds"), [(None, 5), (30, 5), (10, 5), (8, 4), (2, 1), (1, 0), (0, 0)]
)
def test_the_sleep_is_shorter_than_the_grace_period(grace: int | None, seconds: int) -> None:
    spec: dict[str, Any] = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    assert sleep_of(a_template(**spec)) == seconds


def test_only_the_hook_of_the_apps_container_counts() -> None:
    template = hooked(a_template(container="proxy"))
    template["spec"]["containers"].append({"name": "hello", "image": "hello:1.0.0"})
    assert drains(template, "proxy") and not drains(template, "hello")


def test_every_container_without_a_hook_gets_one_and_the_original_stays() -> None:
    template = hooked(a_template())
    template["spec"]["containers"].append({"name": "proxy", "image": "proxy:1"})
    one, other = with_sleep(template)["spec"]["containers"]
    assert one["lifecycle"] == HOOK
    assert other["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in template["spec"]["containers"][1]
