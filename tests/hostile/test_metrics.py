"""What stands between Pilothouse and its counters: refusals, redirects, silence, floods."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from bot.prometheus import MOST_BYTES, Prometheus, PrometheusAddress, promql
from bot.releases.facts.counters import Matcher, SampleQuery, SamplesSeen, Selector
from sandbox.cluster.network.certificates import context_of, self_signed

NOW = 1_800_000_000_000
ERRORS = Selector("http_requests_total", (Matcher("code", "=~", "5.."),))
QUERY = SampleQuery((Selector("http_requests_total"), ERRORS), "pod", ("hello-1",), NOW - 60_000)
GOOD = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": "http_requests_total", "pod": "hello-1", "code": "200"},
                "values": [[NOW / 1000 - 15, "7"], [NOW / 1000 - 0.5, "NaN"]],
            }
        ],
    },
}


class SimulatedApi(BaseHTTPRequestHandler):
    """The path before /api says what it does."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = parse_qs(content)["query"][0]
        self.asked.append((query, self.headers.get("Authorization", "")))
        match self.path.split("/")[1]:
            case "hangs":
                self._stopped.wait(5)
            case "floods":
                self._send(200, b" " * (MOST_BYTES + 1))
            case "redirects":
                self._send(302, b"", Location="/good/api/v1/query")
            case "page":
                self._send(200, b"<html>")
            case "refuses":
                self._send(401, b"no")
            case "wrong":
                body = {"status": "error", "errorType": "bad_data", "error": "parse error:\n at 3"}
                self._send(400, json.dumps(body).encode())
            case "partly":
                self._send(200, json.dumps({**GOOD, "warnings": ["a store is away"]}).encode())
            case "vector":
                data = {"status": "success", "data": {"resultType": "vector", "result": []}}
                self._send(200, json.dumps(data).encode())
            case "ahead":
                self._send(200, json.dumps(GOOD).encode(), Date=formatdate(NOW / 1000 + 30))
            case _:
                self._send(200, json.dumps(GOOD).encode(), Date=formatdate(NOW / 1000))

    @property
    def _stopped(self) -> threading.Event:
        return self.server.stopped  # type: ignore[attr-defined,no-any-return]

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Serving(None) as found:
        yield found


class Serving:
    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), SimulatedApi)
        self._server.stopped = threading.Event()  # type: ignore[attr-defined]
        self._scheme = "https" if context else "http"
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.stopped.set()  # type: ignore[attr-defined]
        self._server.shutdown()
        self._server.server_close()


def read(url: str, what: str, **address: str) -> SamplesSeen:
    within_s = 0.5 if what == "hangs" else 10
    prometheus = Prometheus(PrometheusAddress(f"{url}/{what}", **address), within_s=within_s)
    return prometheus.read(QUERY, NOW)


def test_samples_come_as_they_were_scraped(url: str) -> None:
    (one,) = read(url, "good").series
    assert (one.metric, one.pod) == ("http_requests_total", "hello-1")
    assert one.points[0] == (NOW - 15_000, 7.0)
    assert one.points[1][1] != one.points[1][1], "NaN is left to the judge"
    assert SimulatedApi.asked[-1][0] == f"{promql(QUERY)}[61s]"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("hangs", "did not answer within 0.5 s"),
        ("floods", "is larger than 8 MiB: narrow the selectors"),
        ("redirects", "Prometheus redirects (302): `url` must name where it is"),
        ("page", "what answers is no Prometheus (status 200)"),
        ("refuses", "Prometheus does not admit us (401): check `token_file`"),
        ("wrong", "Prometheus refuses the query: parse error: at 3"),
        ("partly", "Prometheus answers in part: ['a store is away']"),
        ("vector", "what answers is no Prometheus: the result has another type"),
    ],
)
def test_what_keeps_samples_away_is_one_line(url: str, what: str, why: str) -> None:
    seen = read(url, what)
    assert why in seen.away and "\n" not in seen.away
    assert seen.series == ()


def test_no_redirect_is_followed(url: str) -> None:
    before = len(SimulatedApi.asked)
    read(url, "redirects")
    assert len(SimulatedApi.asked) == before + 1


def test_nobody_at_the_address_is_one_line() -> None:
    assert "Prometheus at 127.0.0.1:9 cannot be reached" in read("http://127.0.0.1:9", "x").away


def test_times_are_ours_where_the_clock_of_prometheus_is_ahead(url: str) -> None:
    (one,) = read(url, "ahead").series
    assert abs(one.points[0][0] - (NOW - 45_000)) <= 1_000


def test_the_token_is_read_for_each_question(url: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    prometheus = Prometheus(PrometheusAddress(f"{url}/good", token_file=str(token)))
    assert "the token file of Prometheus cannot be read" in prometheus.read(QUERY, NOW).away
    for text in ("first", "second"):
        token.write_text(f"{text}\n")
        assert prometheus.read(QUERY, NOW).away == ""
        assert SimulatedApi.asked[-1][1] == f"Bearer {text}"
    token.write_text("two\nlines")
    assert "holds no token" in prometheus.read(QUERY, NOW).away


def test_only_a_certificate_that_is_trusted_is_spoken_to(tmp_path: Path) -> None:
    certificate, key = self_signed()
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(certificate)
    with Serving(context_of(certificate, key)) as url:
        assert "is not trusted" in read(url, "good").away
        assert read(url, "good", ca_file=str(trusted)).away == ""
        trusted.write_bytes(b"no certificate")
        assert (
            "the CA file of Prometheus cannot be read"
            in read(url, "good", ca_file=str(trusted)).away
        )
