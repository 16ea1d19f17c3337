"""Credentials that are renewed, and plugins that fail, hang or are missing."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.cluster.connect import ClusterAddress, Connection
from bot.cluster.credentials import Plugin, read_kubeconfig
from bot.ports import ClusterUnreachable

TOKEN = (
    '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
    ' "status": {{"token": "{token}"{more}}}}}'
)


@dataclass
class Asked:
    """An API server that records who asked."""

    url: str = ""
    by: list[str] = field(default_factory=list)


@pytest.fixture
def asked() -> Iterator[Asked]:
    found = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.by.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_words: object) -> None:
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found
        server.shutdown()


def kubeconfig(folder: Path, server: str, user: dict[str, Any]) -> Path:
    path = folder / "kubeconfig"
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def plugin(folder: Path, script: str, **more: Any) -> dict[str, Any]:
    file = folder / "plugin"
    file.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{script}\n", encoding="utf-8")
    file.chmod(0o700)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": "./plugin", **more}}


def runs(folder: Path) -> int:
    file = folder / "runs"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_rotated_token_file_is_read_again(tmp_path: Path, asked: Asked) -> None:
    """As Kubernetes rotates a projected token: the file is a link that changes."""
    for name in ("first", "second"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    token = tmp_path / "token"
    token.symlink_to(tmp_path / "first")
    path = kubeconfig(tmp_path, asked.url, {"tokenFile": "token"})
    connection = Connection(ClusterAddress(str(path)))
    connection.get("/version")
    (tmp_path / "next").symlink_to(tmp_path / "second")
    (tmp_path / "next").rename(token)
    connection.get("/version")
    assert asked.by == ["Bearer first", "Bearer second"]


def test_a_missing_plugin_is_named_in_one_line(tmp_path: Path, asked: Asked) -> None:
    hint = "Install it:\n  see the docs"
    user = {"exec": {"command": "no-such-auth-plugin", "installHint": hint}}
    connection = Connection(ClusterAddress(str(kubeconfig(tmp_path, asked.url, user))))
    with pytest.raises(ClusterUnreachable) as away:
        connection.get("/version")
    assert str(away.value) == (
        "credential plugin `no-such-auth-plugin` is not installed here: Install it: see the docs"
    )
    assert not asked.by, "nothing is asked without credentials"


def test_a_plugin_that_fails_says_why(tmp_path: Path, asked: Asked) -> None:
    user = plugin(tmp_path, "echo 'token expired:' >&2; echo 'log in again' >&2; exit 3")
    connection = Connection(ClusterAddress(str(kubeconfig(tmp_path, asked.url, user))))
    with pytest.raises(ClusterUnreachable, match="ended with 3: token expired: log in again"):
        connection.get("/version")


@pytest.mark.parametrize("output", ["", "no json", "[]", '{"status": {"expirationTimestamp": 3}}'])
def test_output_that_is_no_credential_is_one_line(
    tmp_path: Path, asked: Asked, output: str
) -> None:
    user = plugin(tmp_path, f"echo '{output}'")
    connection = Connection(ClusterAddress(str(kubeconfig(tmp_path, asked.url, user))))
    with pytest.raises(ClusterUnreachable, match="gave no ExecCredential"):
        connection.get("/version")


def test_a_plugin_that_hangs_ends_with_what_it_started(tmp_path: Path, asked: Asked) -> None:
    """Its child would keep the pipes open."""
    user = plugin(tmp_path, "sleep 600 & sleep 600")
    path = kubeconfig(tmp_path, asked.url, user)
    hanging = Plugin(read_kubeconfig(str(path), None), timeout_s=0.3)
    began = time.monotonic()
    for _ in range(5):
        with pytest.raises(ClusterUnreachable, match=r"did not answer within 0\.3 s"):
            hanging.credential()
    assert time.monotonic() - began < 3.0
    assert runs(tmp_path) == 1, "its failure stands for a while"


def test_reads_side_by_side_run_it_once(tmp_path: Path, asked: Asked) -> None:
    user = plugin(tmp_path, f"sleep 0.1; echo '{TOKEN.format(token='secret', more='')}'")
    connection = Connection(ClusterAddress(str(kubeconfig(tmp_path, asked.url, user))))
    connection.prepare()
    assert not runs(tmp_path), "a process starts without waiting for it"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(connection.get, ["/version"] * 8))
    assert asked.by == ["Bearer secret"] * 8
    assert runs(tmp_path) == 1


def test_an_expired_credential_is_asked_for_again(tmp_path: Path, asked: Asked) -> None:
    more = ', "expirationTimestamp": "2020-01-01T00:00:00Z"'
    user = plugin(tmp_path, f"echo '{TOKEN.format(token='old', more=more)}'")
    connection = Connection(ClusterAddress(str(kubeconfig(tmp_path, asked.url, user))))
    connection.get("/version")
    connection.get("/version")
    assert runs(tmp_path) >= 2
