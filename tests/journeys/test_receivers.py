"""Machines are told of releases by the real workers, also where a receiver fails half of the time
and another one never replies."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.conftest import eventually

KINDS = ["queued", "started", "finished", "upgraded"]
VERSIONS = ("2.0.0", "3.0.0")
SLACK_WITHIN_S = 15.0


class SimulatedReceivers(ThreadingHTTPServer):
    """At /half every second request fails; at /hangs none is answered."""

    daemon_threads = True

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []  # (release, what happened)
        self.requests = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: SimulatedReceivers

    def do_POST(self) -> None:
        if self.path == "/hangs":
            self.server.ended.wait(60)
            return
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests += 1
            fails = self.server.requests % 2 == 1
            if not fails:
                kind = str(event["type"]).split(".")[3]
                self.server.taken.append((str(event["id"]).partition("/")[0], kind))
        self.send_response(500 if fails else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def receivers() -> Iterator[SimulatedReceivers]:
    server = SimulatedReceivers()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()


def demo_with(url: str, folder: Path) -> Path:
    demo = Path(shutil.copytree(DEMO, folder / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["events"] = [{"url": f"{url}/{name}"} for name in ("hangs", "half")]
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    return demo


def says(sandbox: Sandbox, text: str) -> bool:
    return eventually(lambda: bool(sandbox.slack.messages("C0RELEASES", about=text)), within_s=60)


@pytest.mark.slow
def test_every_event_arrives_in_order_and_slack_waits_for_no_receiver(tmp_path: Path) -> None:
    with receivers() as server:
        demo = demo_with(f"http://127.0.0.1:{server.server_port}", tmp_path)
        with run_sandbox(demo=demo, ready_after=0.2) as sandbox:
            for version in VERSIONS:
                began = time.monotonic()
                sandbox.slack.command("U0DEV1", "C0RELEASES", f"/deploy hello {version}")
                assert says(sandbox, version)
                assert time.monotonic() - began < SLACK_WITHIN_S
                assert says(sandbox, f"hello is on {version}")
            whole = len(VERSIONS) * len(KINDS)
            assert eventually(lambda: len(set(server.taken)) == whole, within_s=60)
    for release in dict.fromkeys(name for name, _ in server.taken):
        told = [kind for name, kind in server.taken if name == release]
        assert list(dict.fromkeys(told)) == KINDS
    assert server.requests >= 2 * len(VERSIONS) * len(KINDS)
