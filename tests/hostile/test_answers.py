"""An app that answers a probe without an end, or a byte at a time, takes neither memory nor
time."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from bot.cluster.connect import first_bytes

ENDLESS = b"x" * 65_536


class SimulatedApp(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.server.stopped.is_set():  # type: ignore[attr-defined]
                self.wfile.write(b"x" if self.path == "/drips" else ENDLESS)
                if self.path == "/drips":
                    self.server.stopped.wait(0.02)  # type: ignore[attr-defined]
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def app() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimulatedApp)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def test_of_an_endless_answer_only_its_beginning_is_read(app: str) -> None:
    tracemalloc.start()
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", app, preload_content=False)
        data, whole = first_bytes(answer, 4_096, ends=time.monotonic() + 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (data, whole) == (b"x" * 4_096, False) and peak < 4_000_000


def test_an_answer_that_drips_ends_at_its_deadline(app: str) -> None:
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", f"{app}/drips", preload_content=False, timeout=3)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            first_bytes(answer, 4_096, ends=time.monotonic() + 0.2)
