"""A Slack behind a certificate of one's own authority: reached with SLACK_CA_FILE, and refused
without."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bot.ports import Message, SlackUnavailable
from bot.slack.messenger import SlackMessenger
from bot.slack.workspace import inspect_workspace
from sandbox.cluster.network.certificates import self_signed, self_signed_context

PEOPLE = b'{"ok": true, "team": "Shop", "user": "pilothouse", "team_id": "T1", "user_id": "U1"}'


class _Slack(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = PEOPLE if self.path.startswith("/api/") else b"ok"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
        """Quiet."""


@pytest.fixture(scope="module")
def slack_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slack) as server:
        server.daemon_threads = True
        server.socket = self_signed_context().wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    path = tmp_path / "ca.crt"
    path.write_bytes(self_signed()[0])
    return str(path)


def test_slack_is_trusted_by_the_authority_that_is_named(slack_url: str, ca_file: str) -> None:
    assert inspect_workspace("xoxb-1", f"{slack_url}/api/", (), ca_file=ca_file).team == "Shop"
    with pytest.raises(SlackUnavailable, match="certificate"):
        inspect_workspace("xoxb-1", f"{slack_url}/api/", ())


def test_a_reply_trusts_it_too(slack_url: str, ca_file: str) -> None:
    messenger = SlackMessenger("xoxb-1", f"{slack_url}/api/", ca_file=ca_file)
    messenger.respond(f"{slack_url}/actions/1", Message("hello"))
    with pytest.raises(SlackUnavailable):
        SlackMessenger("xoxb-1", f"{slack_url}/api/").respond(
            f"{slack_url}/actions/1", Message("hello")
        )
