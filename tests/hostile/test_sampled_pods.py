"""What stands between Pilothouse and a pod that is asked: redirects, silence, streams, refusals."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from bot.cluster import KubernetesCluster
from bot.releases.facts.observation import AnswerSeen
from bot.releases.facts.plan import Probe
from tests.builders import a_target


class SimulatedProxy(BaseHTTPRequestHandler):
    """The API server's pod proxy; the probe's path says what it does."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        what = self.path.rpartition("/")[2]
        self.asked[what] += 1
        match what:
            case "hangs":
                self._stopped.wait(5)
            case "refused":
                self._send(403, json.dumps({"kind": "Status", "message": what}).encode())
            case "unreached":
                self._send(503, json.dumps({"kind": "Status", "message": what}).encode())
            case "redirects":
                self._send(302, b"", location="/elsewhere")
            case "streams":
                self._stream()
            case _:
                self._send(200, b"ok")

    @property
    def _stopped(self) -> threading.Event:
        return self.server.stopped  # type: ignore[attr-defined,no-any-return]

    def _stream(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self._stopped.wait(0.02):
            try:
                self.wfile.write(b"x")
            except OSError:
                return

    def _send(self, status: int, body: bytes, *, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesCluster]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimulatedProxy)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    SimulatedProxy.asked.clear()
    yield a_cluster(tmp_path, server.server_address[1])
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def a_cluster(folder: Path, port: int) -> KubernetesCluster:
    config = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return KubernetesCluster(kubeconfig=str(file))


def answer(cluster: KubernetesCluster, path: str) -> AnswerSeen:
    probe = Probe(path, 80, 1, within_ms=300)
    return cluster.sample_pods(a_target(), ["hello-1"], probe)[0]


def test_a_redirect_is_an_answer_and_is_not_followed(cluster: KubernetesCluster) -> None:
    assert answer(cluster, "/redirects").outcome == "good"
    assert SimulatedProxy.asked == {"redirects": 1}


@pytest.mark.parametrize("path", ["/hangs", "/streams"])
def test_silence_and_streams_end_in_time_and_are_bad(cluster: KubernetesCluster, path: str) -> None:
    began = time.monotonic()
    assert answer(cluster, path) == AnswerSeen("hello-1", "bad", "it did not answer within 0.3 s")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["/refused", "/unreached"])
def test_what_the_api_server_says_is_no_answer_of_the_pod(
    cluster: KubernetesCluster, path: str
) -> None:
    assert answer(cluster, path) == AnswerSeen("hello-1", "lost", path[1:])


def test_an_api_server_that_refuses_connections_is_no_answer_of_the_pod(tmp_path: Path) -> None:
    seen = answer(a_cluster(tmp_path, 1), "/version")
    assert seen.outcome == "lost" and "refuses connections" in seen.why
