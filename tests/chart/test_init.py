"""The values that `pilothouse init` writes are what the chart takes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bot.setup.init import main as init
from bot.setup.report import VALUES
from config.catalog import parse_catalog
from sandbox.control_plane.binaries import kubernetes_version
from tests.chart.conftest import CHART, environment, of_kind, only, pods

pytestmark = pytest.mark.control_plane

WAYS = {
    "socket mode": ("--socket-mode",),
    "ingress": ("--url", "https://bots.example.com"),
    "a route of one's own": ("--url", "https://bots.example.com:8443/team/"),
    "prefixed commands": ("--socket-mode", "--prefix", "ph-", "--commands", "deploy,pods"),
}


@pytest.fixture
def render_init(helm: Callable[..., str], tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """The objects of the chart with the values that these words write, and nothing else but what
    `helm template` cannot look up."""

    def render(*words: str) -> list[dict[str, Any]]:
        apps = ("--app", "shop/hello", "--app", "pay/cart", "--deployer", "U0DEV1")
        assert init(["--directory", str(tmp_path), *apps, *words], io.StringIO()) == 0
        values = ("--values", str(tmp_path / VALUES), "--set=redis.existingSecret=users")
        assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *values)
        text = helm("template", "pilothouse", str(CHART), "--namespace=bots", *values)
        return [one for one in yaml.safe_load_all(text) if one]

    return render


@pytest.mark.parametrize("way", WAYS)
def test_the_values_of_init_render_to_valid_objects(
    render_init: Callable[..., list[dict[str, Any]]], way: str
) -> None:
    rendered = render_init(*WAYS[way])
    minor = ".".join(kubernetes_version().split(".")[:2])
    for one in rendered:
        kubernetes_validate.validate(one, minor, strict=True)
    catalog = parse_catalog(only(rendered, "ConfigMap", "catalog")["data"]["catalog.yaml"])
    assert set(catalog.apps) == {"hello", "cart"}
    assert {one["metadata"]["namespace"] for one in of_kind(rendered, "Role")} >= {"shop", "pay"}
    bot = environment(pods(rendered)["pilothouse-bot"])
    assert ("SLACK_APP_TOKEN_FILE" in bot) is ("--socket-mode" in WAYS[way])
    assert len(of_kind(rendered, "Ingress")) == (way == "ingress")
    assert bot.get("PILOTHOUSE_PREFIX", "") == ("ph-" if way == "prefixed commands" else "")
