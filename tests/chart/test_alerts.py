"""Each alert fires when it should and is silent when it should be, as Prometheus' own promtool
finds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.metric_table import METRICS
from tests.chart.conftest import Render, of_kind, only

pytestmark = pytest.mark.control_plane

IN, ELSEWHERE = 'namespace="deploy"', 'namespace="other"'
WELL = {
    f"pilothouse_build_info{{{IN}, pod='bot-1'}}": "1x60",
    f"pilothouse_redis_up{{{IN}, pod='bot-1'}}": "1x60",
    f"pilothouse_overdue_seconds{{{IN}, pod='worker-1'}}": "0 3 40 80 0 0x60",
    f"pilothouse_process_up{{{IN}, pod='worker-1', process='ticker'}}": "1 1 0 1 1x60",
    f"pilothouse_process_restarts_total{{{IN}, pod='worker-1', process='ticker'}}": "0 0 0 1 1x60",
    f"pilothouse_configuration_refused{{{IN}, pod='bot-1'}}": "0 0 1 1 0 0x60",
    f"pilothouse_http_server_errors_total{{{IN}, pod='bot-1', path='/readyz'}}": "0+1x60",
    f"pilothouse_http_server_errors_total{{{IN}, pod='bot-1', path='/slack/events'}}": "7x60",
    **{
        f"pilothouse_slack_ack_seconds_bucket{{{IN}, pod='bot-1', kind='command', le='{le}'}}": (
            "0+9x60"
        )
        for le in ("0.1", "2.0", "3.0", "+Inf")
    },
    f"pilothouse_jobs_total{{{IN}, pod='worker-1', kind='release', outcome='failed'}}": "5 6 6x60",
    f"pilothouse_jobs_total{{{IN}, pod='worker-1', kind='release', outcome='done'}}": "0+50x60",
    f"pilothouse_jobs_refused_total{{{IN}, pod='worker-1', queue='q'}}": "3x60",
    # Of another installation: nobody's business here.
    f"pilothouse_redis_up{{{ELSEWHERE}, pod='bot-1'}}": "0x60",
    f"pilothouse_overdue_seconds{{{ELSEWHERE}, pod='worker-1'}}": "0+60x60",
}
"""What one installation shows that is well: with a moment's trouble that nobody is called for."""


@dataclass(frozen=True)
class Trouble:
    """``series``: by a pattern of their names, what they show instead; "" for nothing at all."""

    alert: str
    series: dict[str, str]
    about: str


TROUBLES = (
    Trouble("PilothouseAbsent", {"pilothouse_build_info": ""}, "No Pilothouse is scraped"),
    Trouble("PilothouseRedisAway", {"pilothouse_redis_up": "1 0x60"}, "bot-1 does not reach Redis"),
    Trouble("PilothouseWorkOverdue", {"pilothouse_overdue": "0+60x60"}, r"Work is .* overdue"),
    Trouble("PilothouseNoWorkers", {"pilothouse_overdue": "0 0 stale"}, "No worker reports"),
    Trouble("PilothouseProcessDown", {"pilothouse_process_up": "1 0x60"}, "ticker of worker-1"),
    Trouble("PilothouseProcessRestarts", {"pilothouse_process_restarts": "0+1x60"}, "ticker of"),
    Trouble("PilothouseConfigurationRefused", {"pilothouse_configuration_r": "0 1x60"}, "bot-1"),
    Trouble("PilothouseServerErrors", {"pilothouse_http_server": "0+1x60"}, "The bot failed"),
    Trouble(
        "PilothouseSlowAcknowledgement",
        {"pilothouse_slack_ack.*le='(0.1|2.0)'": "0x60"},
        "The bot takes .* to acknowledge",
    ),
    Trouble("PilothouseJobsFail", {"pilothouse_jobs_total": "0+1x60"}, "jobs of kind release"),
    Trouble("PilothouseJobsRefused", {"pilothouse_jobs_refused": "3x20 4x40"}, "the queue q"),
    Trouble("PilothouseJobsRefused", {"pilothouse_jobs_refused": "_x20 1x40"}, "the queue q"),
)


@pytest.fixture
def groups(render: Render) -> list[dict[str, Any]]:
    rule = only(
        render(metrics={"alerts": {"enabled": True, "labels": {"a": "b"}}}), "PrometheusRule"
    )
    assert rule["metadata"]["labels"]["a"] == "b"
    found: list[dict[str, Any]] = rule["spec"]["groups"]
    return found


def promtool(*words: str) -> str:
    """Its findings, "" where there are none."""
    found = shutil.which("promtool")
    if found is None:
        reason = "promtool is missing (Debian: apt install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(f"the alerts were not evaluated: {reason}")
    done = subprocess.run([found, *words], check=False, capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_there_is_no_alert_by_default(render: Render) -> None:
    assert of_kind(render(), "PrometheusRule") == []


def test_each_alert_has_a_trouble_that_it_is_tested_with(groups: list[dict[str, Any]]) -> None:
    (group,) = groups
    assert [rule["alert"] for rule in group["rules"]] == list(
        dict.fromkeys(trouble.alert for trouble in TROUBLES)
    )
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_an_alert_names_metrics_that_are_served(groups: list[dict[str, Any]]) -> None:
    served = {spec.served_as for spec in METRICS}
    served |= {f"{spec.name}_bucket" for spec in METRICS if spec.kind == "histogram"}
    for rule in groups[0]["rules"]:
        named = set(re.findall(r"pilothouse_\w+", rule["expr"]))
        assert named and named <= served, rule["alert"]


@pytest.fixture
def rules_file(groups: list[dict[str, Any]], tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups}))
    return path


def _tested(rules: Path, series: dict[str, str], alert: str, expected: list[Any]) -> str:
    """``expected``: the labels and the annotations of what fires of one alert."""
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": "30m", "alertname": alert, "exp_alerts": expected}],
    }
    path = rules.with_name("test.yaml")
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [case]}))
    return promtool("test", "rules", str(path))


def test_prometheus_accepts_the_rules(rules_file: Path) -> None:
    assert promtool("check", "rules", str(rules_file)) == ""


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.alert)
def test_an_alert_is_silent_while_all_is_well(rules_file: Path, trouble: Trouble) -> None:
    assert _tested(rules_file, WELL, trouble.alert, []) == ""


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.alert)
def test_an_alert_fires_in_its_trouble(rules_file: Path, trouble: Trouble) -> None:
    series = dict(WELL)
    for name in WELL:
        for pattern, values in trouble.series.items():
            if IN in name and re.match(pattern, name):
                series[name] = values
    series = {name: values for name, values in series.items() if values}
    found = _tested(rules_file, series, trouble.alert, [])
    assert re.search(rf"alertname: {trouble.alert}\b", found), found
    assert re.search(trouble.about, found), found
