"""What a forked job takes over from the worker that prepared it, and what it reads again."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from bot.cluster.connect import LONGEST_IDLE_S, ClusterAddress, Connection, SharedContext
from bot.ports import ClusterUnreachable
from bot.request_id import working_for
from bot.tally import TALLY
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
    agents: ClassVar[list[str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            Server.agents.append(self.headers["User-Agent"])
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


def test_each_request_names_the_release_and_the_request_that_it_is_for(
    server: Server, tmp_path: Path
) -> None:
    """Reads that are begun beside others too: they run on threads of their own."""
    path = kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{server.server_address[1]}")
    connection = Connection(ClusterAddress(str(path)))
    Server.agents.clear()
    connection.get("/version")
    with working_for("1a2b", "hello-42"):
        connection.get("/version")
        connection.start(connection.get, "/version").result()
    alone, *followed = Server.agents
    assert alone == f"pilothouse/{version('pilothouse')}"
    assert followed == 2 * [f"{alone} (release=hello-42; request=1a2b)"]


def counted() -> dict[str, int]:
    """Requests since the last call."""
    return {name: n for name, n in TALLY.take().items() if name.startswith("kubernetes:")}


def test_each_request_is_counted_by_its_status_or_why_there_is_none(
    server: Server, tmp_path: Path
) -> None:
    TALLY.take()
    path = kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{server.server_address[1]}")
    connection = Connection(ClusterAddress(str(path)), cluster="eu")
    for _ in range(2):
        connection.get("/version")
    connection.stream("/version", {}, silence_s=1.0).close()
    assert counted() == {"kubernetes:GET:200:eu": 2, "kubernetes:WATCH:200:eu": 1}


def test_a_request_without_an_answer_is_counted_by_why(tmp_path: Path) -> None:
    TALLY.take()
    refuses = kubeconfig(tmp_path / "refuses", "http://127.0.0.1:1")
    with pytest.raises(ClusterUnreachable):
        Connection(ClusterAddress(str(refuses)), cluster="eu").get("/version")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hangs = Connection(
            ClusterAddress(str(kubeconfig(tmp_path / "hangs", address))),
            timeout_s=0.05,
            cluster="us",
        )
        with pytest.raises(ClusterUnreachable):
            hangs.get("/version")
    assert counted() == {"kubernetes:GET:connection:eu": 1, "kubernetes:GET:timeout:us": 1}


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
