"""The check before the first object changes has what it needs, and nothing else of the chart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import read_settings
from tests.chart.conftest import CHART, Render, Rendered, only, pods, relocated

pytestmark = pytest.mark.control_plane

OWN = {"redis": {"bundled": False, "existingSecret": "redis"}}
Upgrade = Callable[..., Rendered]


@pytest.fixture
def render_upgrade(
    helm: Callable[..., str], values_file: Callable[[dict[str, Any]], str]
) -> Upgrade:
    def rendered(**values: Any) -> Rendered:
        file = values_file({"redis": {"existingSecret": "redis-users"}, **values})
        words = ("template", "pilothouse", str(CHART), "--namespace", "deploy", "--is-upgrade")
        return list(filter(None, yaml.safe_load_all(helm(*words, "--values", file))))

    return rendered


def hooks_of(rendered: Rendered) -> Rendered:
    annotated = [one for one in rendered if one["metadata"].get("annotations")]
    return [one for one in annotated if "pre-install" in str(one["metadata"]["annotations"])]


def gate_of(rendered: Rendered) -> dict[str, Any]:
    (job,) = [one for one in hooks_of(rendered) if one["kind"] == "Job"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod: dict[str, Any] = job["spec"]["template"]
    return pod


def test_there_is_no_gate_by_default(render: Render) -> None:
    assert hooks_of(render()) == []


@pytest.mark.parametrize("redis", [{}, OWN], ids=["bundled", "own"])
def test_what_the_gate_names_is_there_before_the_chart(render: Render, redis: Any) -> None:
    rendered = render(gate={"enabled": True}, **redis)
    spec = gate_of(rendered)["spec"]
    before = {(one["kind"], one["metadata"]["name"]) for one in hooks_of(rendered)}
    assert ("ServiceAccount", spec["serviceAccountName"]) in before
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert ("ConfigMap", volumes["catalog"]["configMap"]["name"]) in before
    mounts = {one["name"] for one in spec["containers"][0]["volumeMounts"]}
    assert mounts == volumes.keys()
    secrets = {one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one}
    assert secrets == ({"pilothouse-slack", "redis"} if redis else {"pilothouse-slack"})


def test_the_gate_may_do_what_the_workers_may(render: Render) -> None:
    rendered = render(gate={"enabled": True})
    account = gate_of(rendered)["spec"]["serviceAccountName"]
    for kind in ("ClusterRole", "Role"):
        ours, gates = (
            only(rendered, kind, f"deploy-pilothouse{suffix}") for suffix in ("", "-gate")
        )
        assert ours["rules"] == gates["rules"]
        binding = only(rendered, f"{kind}Binding", "-gate")
        assert binding["subjects"][0]["name"] == account
        assert binding["roleRef"]["name"] == gates["metadata"]["name"]
    data = {one["metadata"]["name"]: one["data"] for one in rendered if one["kind"] == "ConfigMap"}
    assert data["pilothouse-gate"] == data["pilothouse-catalog"]


@pytest.mark.parametrize(
    ("redis", "is_upgrade", "left_out"),
    [
        ({}, False, "redis,metrics,releases"),
        ({}, True, "metrics,releases"),
        (OWN, False, "metrics,releases"),
        (OWN, True, "metrics,releases"),
    ],
)
def test_the_gate_reads_the_settings_that_it_is_given(
    render: Render,
    render_upgrade: Upgrade,
    tmp_path: Path,
    redis: Any,
    is_upgrade: bool,
    left_out: str,
) -> None:
    rendered = (render_upgrade if is_upgrade else render)(gate={"enabled": True}, **redis)
    pod = gate_of(rendered)
    assert pod["spec"]["containers"][0]["args"] == ["doctor", "--without", left_out]
    given = relocated(pod, tmp_path, redis_url="redis://:secret@redis:6379/0", password="pa55word")
    settings = read_settings(given, "worker")
    assert settings.slack_bot_token == "xoxb-1"
    assert ("@pilothouse-redis:" in settings.redis_url) != bool(redis)


def test_ones_own_account_and_catalog_are_taken(render: Render) -> None:
    own = {"serviceAccount": {"create": False, "name": "deployer"}, "rbac": {"create": False}}
    rendered = render(gate={"enabled": True}, existingCatalogConfigMap="catalog", catalog={}, **own)
    assert [one["kind"] for one in hooks_of(rendered)] == ["Job"]
    spec = gate_of(rendered)["spec"]
    assert spec["serviceAccountName"] == "deployer"
    names = [one["configMap"]["name"] for one in spec["volumes"] if "configMap" in one]
    assert names == ["catalog"] and not any("gate" in name for name in pods(rendered))


def test_the_doctor_starts_with_what_the_gate_renders(render: Render, tmp_path: Path) -> None:
    """No cluster and no Slack is here: it says so, and has no mistake of its settings."""
    rendered = render(gate={"enabled": True}, slack={"apiUrl": "http://127.0.0.1:9/api/"})
    pod = gate_of(rendered)
    given = relocated(pod, tmp_path)
    data = only(rendered, "ConfigMap", "-gate")["data"]
    items = next(one for one in pod["spec"]["volumes"] if one["name"] == "catalog")["configMap"]
    for item in items["items"]:
        path = tmp_path / item["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(data[item["key"]])
    given["PILOTHOUSE_CONFIG"] = str(tmp_path / "catalog.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "bot", *pod["spec"]["containers"][0]["args"]],
        env={**given, "PATH": os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    titles = [line for line in done.stdout.splitlines() if line[0] != " "]
    assert titles[:-1] == ["Kubernetes", "Slack"] and "!!" in done.stdout
