"""The demo app of the real nodes, as a process of this machine."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.control_plane import BinariesMissing
from sandbox.free_ports import free_ports
from sandbox.real_node.binaries import APP
from tests.conftest import eventually

pytestmark = pytest.mark.real_node


@contextmanager
def running(**settings: str) -> Iterator[str]:
    try:
        program = APP.built() / "hello"
    except BinariesMissing as missing:
        pytest.skip(str(missing))
    (port,) = free_ports(1)
    environment = {"LISTEN": f"127.0.0.1:{port}", "VERSION": "2.0.0", **settings}
    with subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            assert eventually(lambda: status_of(f"{url}/readiness") == 200)
            yield url
        finally:
            process.terminate()


def fetch(url: str) -> tuple[int, str]:
    """0 where nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def status_of(url: str) -> int:
    return fetch(url)[0]


def test_the_app_names_its_version_and_greets() -> None:
    with running() as url:
        assert json.loads(fetch(f"{url}/version")[1]) == {"version": "2.0.0"}
        assert json.loads(fetch(url)[1]) == {"message": "Hello"}
        assert fetch(f"{url}/who")[1].startswith("2.0.0 ")
        assert status_of(f"{url}/login") == 404


def test_a_share_of_the_replies_are_errors_and_probes_are_none_of_them() -> None:
    with running(ERRORS="20") as url:
        statuses = [status_of(f"{url}/version") for _ in range(50)]
        assert statuses.count(503) == 10
        assert {status_of(f"{url}/{path}") for path in ("healthz", "readiness")} == {200}


def test_the_metrics_count_replies_by_status() -> None:
    with running(ERRORS="50") as url:
        for _ in range(10):
            status_of(f"{url}/version")
        lines = fetch(f"{url}/metrics")[1].splitlines()
    assert 'http_requests_total{version="2.0.0",code="200"} 5' in lines
    assert 'http_requests_total{version="2.0.0",code="503"} 5' in lines


def test_auth_gives_a_token() -> None:
    with running(NAME="auth") as url:
        assert json.loads(fetch(f"{url}/login")[1]) == {"token": "demo"}
