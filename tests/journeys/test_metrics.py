"""Automatic canaries judged by a real Prometheus alone, which scrapes the demo's pods."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import config

from bot.prometheus import Prometheus, PrometheusAddress
from sandbox.cluster.network.routing import UNVISITED
from sandbox.main import DEMO, Sandbox, run_sandbox
from sandbox.prometheus import MISSING, find_prometheus
from tests.journeys.conftest import Entry, Ground, Journey
from tests.journeys.endpoints import ready_versions
from tests.journeys.test_evidence import administer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_prometheus() is None, reason=MISSING),
]

_numbers = itertools.count(1)
PLAIN: Entry = {
    "strategy": "canary",
    "probe": None,
    "manifests": [],
    "canary": {"steps": [50], "hold": "25s", "promote": "automatic"},
    "bluegreen": {"rollback_window": "45s", "promote": "automatic"},
    "judge": {
        "preset": "prometheus",
        "latency": {"slower_than": "500ms"},
        "worse_by": "2%",
        "extend": "5s",
    },
}
APPS = [f"counted{number}" for number in range(1, 9)]


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    demo = Path(shutil.copytree(DEMO, tmp_path_factory.mktemp("counting") / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    hello = catalog["apps"]["hello"]
    catalog["apps"] = {one: {**hello, **PLAIN, "images": [f"pilothouse/{one}"]} for one in APPS}
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    with run_sandbox(demo=demo, ready_after=0.2, rate_scale=0, with_prometheus=True) as sandbox:
        yield sandbox


@pytest.fixture
def app(counting: Sandbox) -> Iterator[Journey]:
    kubeconfig = counting.kubeconfig
    with contextlib.closing(config.new_client_from_config(str(kubeconfig))) as api:
        ground = Ground(counting, api, kubeconfig, None)
        yield ground.running(f"counted{next(_numbers)}", 3)


@pytest.mark.parametrize(
    ("version", "what"),
    [
        ("2.0.0-fails-5", "requests failed"),
        ("2.0.0-fails-20", "requests failed"),
        ("2.0.0-late", "requests took longer than 500 ms"),
    ],
)
def test_a_version_that_users_see_fail_is_stopped_by_metrics_alone(
    app: Journey, version: str, what: str
) -> None:
    found = app.as_found()
    app.say(f"/deploy {{app}} {version} canary hold=90s")  # a busy machine scrapes less often
    seen = app.sees(rf"worse than before: [\d.]+% of [\d,]+ {what} on {version}", within=120)
    assert "(Prometheus, " in seen
    app.sees(r"{app} is back on 1\.0\.0, rolled back", within=60)
    assert app.as_found() == found


def test_a_version_that_serves_goes_out(app: Journey) -> None:
    app.say("/deploy {app} 2.0.0 canary")
    app.sees(r"{app} is on 2\.0\.0.*Verdicts: good at .*, good at .*, good at ", within=90)
    assert app.versions() == {"2.0.0": 3}


def wait_for_scrapes(app: Journey, times: int) -> None:
    """Until Prometheus has that many samples of requests: a counter has none before it counts."""
    url = yaml.safe_load(app.sandbox.catalog.read_text())["clusters"]["local"]["prometheus"]["url"]
    scrapes = f'max(count_over_time(http_requests_total{{pod=~"{app.app}-.*"}}[5m]))'
    prometheus = Prometheus(PrometheusAddress(url))
    app.until(
        lambda: any(value >= times for _, value in prometheus.vector(scrapes)),
        f"{times} scrapes of {app.app}",
        60,
    )


def test_a_green_that_turns_bad_after_the_switch_goes_back(app: Journey) -> None:
    wait_for_scrapes(app, 20)
    app.say("/deploy {app} 2.0.0 bluegreen")
    app.until(lambda: ready_versions(app) == {"2.0.0": 3}, "only green behind the Service", 60)
    rule = {"pattern": f"pilothouse/{app.app}:2.0.0", "behaviour": "sick"}
    administer(app.api, "images", rule)
    app.sees(r"worse than before: \S+% of [\d,]+ requests failed on 2\.0\.0 after", within=90)
    app.sees(r"{app} is back on 1\.0\.0, rolled back", within=60)


def test_a_prometheus_that_is_silent_makes_the_judge_blind(app: Journey) -> None:
    prometheus = app.sandbox.part("prometheus").process
    app.say("/deploy {app} 2.0.0 canary")
    app.sees("{app}.* 2.0.0", within=30)
    prometheus.send_signal(signal.SIGSTOP)
    try:
        app.sees(r"The judge is blind: Prometheus at \S+ did not answer within 3 s", within=120)
    finally:
        prometheus.send_signal(signal.SIGCONT)
    app.click("Abort")
    app.sees(r"{app} is back on 1\.0\.0, aborted", within=60)


def test_a_version_without_visitors_is_asked_about(app: Journey) -> None:
    wait_for_scrapes(app, 1)
    nobody = {"metadata": {"annotations": {UNVISITED: "yes"}}}
    app.core.patch_namespaced_service(app.app, "default", nobody)
    app.say("/deploy {app} 2.0.0 canary")
    app.sees(r"Too little to say whether it is good: ", within=90)
    app.click("Abort")
    app.sees(r"{app} is back on 1\.0\.0, aborted", within=60)
