"""The chart's monitors, alerts and route, held against the definitions of the Prometheus operator
and of the Gateway API by a real API server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.control_plane import BinariesMissing, ControlPlane, ControlPlaneFailed
from sandbox.go_build import find_go
from tests.chart.conftest import Render, of_kind

pytestmark = pytest.mark.control_plane

MODULE = Path(__file__).parent / "crds"
DEFINITIONS = {
    "github.com/prometheus-operator/prometheus-operator": [
        f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
        for kind in ("podmonitors", "servicemonitors", "prometheusrules")
    ],
    "sigs.k8s.io/gateway-api": ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
}
MONITOR = {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}}
ON: dict[str, Any] = {
    "metrics": {
        "podMonitor": MONITOR,
        "serviceMonitor": MONITOR,
        "alerts": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "route": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["pilothouse.example.com"],
        "annotations": {"a": "b"},
    },
}
Offer = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="module")
def definitions() -> list[Path]:
    """Of the versions in go.mod, checked against go.sum. Without Go or its proxy the tests are
    skipped; in CI (CI=true) they fail."""
    try:
        words = [str(find_go(MODULE)), "mod", "download", "-json", *DEFINITIONS]
        done = subprocess.run(words, cwd=MODULE, check=False, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    except (BinariesMissing, AssertionError) as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(f"the definitions cannot be had: {missing}")
    found = {one["Path"]: Path(one["Dir"]) for one in _documents(done.stdout.decode())}
    return [found[name] / file for name, files in DEFINITIONS.items() for file in files]


def _documents(text: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        yield document


@pytest.fixture(scope="module")
def offer(control_plane: ControlPlane, definitions: list[Path]) -> Iterator[Offer]:
    """What the API server says to a new object, which it does not keep. Unknown fields are errors:
    a definition would only drop them."""
    files = [f"--filename={path}" for path in definitions]
    control_plane.kubectl("apply", "--server-side", *files)
    for path in definitions:
        control_plane.kubectl(
            "wait", "--for=condition=Established", "--timeout=60s", f"--filename={path}"
        )

    def create(one: dict[str, Any]) -> str:
        one = {**one, "metadata": {**one["metadata"], "namespace": "default"}}
        words = ("create", "--dry-run=server", "--validate=strict", "--filename=-")
        return control_plane.kubectl(*words, stdin=json.dumps(one))

    yield create
    control_plane.kubectl("delete", "--wait=false", *files)


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor", "PrometheusRule", "HTTPRoute"])
def test_an_api_server_takes_what_the_chart_renders(
    offer: Offer, render: Render, kind: str
) -> None:
    (found,) = of_kind(render(**ON), kind)
    assert "created (server dry run)" in offer(found)
    with pytest.raises(ControlPlaneFailed, match="unknown field"):
        offer({**found, "spec": {**found["spec"], "intervall": "15s"}})
