"""What a forked job takes over from the worker that prepared it, and what it reads again."""

from __future__ import annotations

import base64
import contextlib
import os
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from bot.cluster.connect import LONGEST_IDLE_S, ClusterAddress, Connection, SharedContext
from sandbox.cluster.network.certificates import context_of, self_signed


def kubeconfig(path: Path, server: str) -> Path:
    """As a provider's: certificate and key stand in the file itself, so that the client must write
    them to files of their own."""
    own = f"# {path}\n".encode()  # the client keeps one file for each content
    certificate, key = (base64.b64encode(own + part).decode() for part in self_signed())
    config = {
        "clusters": [
            {"name": "c", "cluster": {"server": server, "certificate-authority-data": certificate}}
        ],
        "users": [
            {"name": "u", "user": {"client-certificate-data": certificate, "client-key-data": key}}
        ],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def in_a_fork(connection: Connection) -> str:
    """The server that a forked process would ask, which ends as RQ's jobs do: without
    cleaning up."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, connection.server.encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as told:
        return told.read()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    tempfile.tempdir = None  # so that the variable is read again
    yield folder
    tempfile.tempdir = None


def test_a_job_of_a_prepared_worker_writes_no_key_to_the_disk(tmp_path: Path, folder: Path) -> None:
    connection = Connection(
        ClusterAddress(str(kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1")))
    )
    connection.prepare()
    before = sorted(folder.iterdir())
    assert before, "the worker itself has to"
    assert in_a_fork(connection) == "https://127.0.0.1:1"
    assert sorted(folder.iterdir()) == before


def test_a_kubeconfig_that_changed_since_is_read_again(tmp_path: Path, folder: Path) -> None:
    path = kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    connection = Connection(ClusterAddress(str(path)))
    connection.prepare()
    kubeconfig(path, "https://127.0.0.1:22")
    assert in_a_fork(connection) == "https://127.0.0.1:22"
    assert connection.server == "https://127.0.0.1:22", "a process that stays takes it up too"
    assert folder.is_dir()


class Server(socketserver.ThreadingTCPServer):
    """Answers ``{}`` and keeps its connections; counts them."""

    daemon_threads = True
    accepted = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None:
            pass

    def process_request(self, request: object, client_address: object) -> None:
        self.accepted += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Server.Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize(("longest_idle_s", "connections"), [(LONGEST_IDLE_S, 1), (-1.0, 3)])
def test_a_connection_is_kept_but_not_used_after_a_long_silence(
    server: Server, tmp_path: Path, longest_idle_s: float, connections: int
) -> None:
    path = kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{server.server_address[1]}")
    connection = Connection(ClusterAddress(str(path)), longest_idle_s=longest_idle_s)
    for _ in range(3):
        assert connection.get("/version") == {}
    assert server.accepted == connections


def test_what_a_shared_context_offers_is_not_changed_by_a_connection() -> None:
    certificate, key = self_signed()
    server = context_of(certificate, key)
    server.set_alpn_protocols(["h2", "http/1.1"])
    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificate.decode())
    context.set_alpn_protocols(["h2"])  # as urllib3 does, while other threads use the context
    assert protocol_chosen(context, server) == "http/1.1"


def protocol_chosen(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """A handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return ours.selected_alpn_protocol()
