"""What strangers send to the bot's port, over real sockets: every refusal is a 4xx, is counted, and
costs little."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import random
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import uvicorn

from bot.operations.context import Context
from bot.policy.permission_table import BUTTONS
from bot.readiness import KNOWN_FOR_S
from bot.slack import admission, connections
from bot.slack.app import build_app
from bot.slack.blocks.buttons import ACTION_PREFIX
from bot.slack.blocks.modal import CALLBACK
from bot.slack.blocks.reason_modal import REJECT_CALLBACK
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.http import server_config
from bot.slack.identity import SlackDirectory
from bot.slack.messenger import SlackMessenger
from config.settings import Settings
from sandbox.slack import LocalSlack
from tests.conftest import eventually
from tests.fakes.in_memory_store import InMemoryReleaseStore, InMemoryWorkQueue
from tests.unit.slack.conftest import CHANNEL, InMemoryClusters, InMemoryManifests, catalog

SECRET = "local-signing-secret"
SEED = int(os.environ.get("PILOTHOUSE_FUZZ_SEED", "14"))
INPUTS = int(os.environ.get("PILOTHOUSE_FUZZ_INPUTS", "300"))
"""Each fuzz has as many. A long run: PILOTHOUSE_FUZZ_INPUTS=100000."""
PLENTY_MB = 48
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The bot speaks HTTP; without it each request reads every certificate authority."""


@dataclass
class Door:
    """The bot behind its real server, as `pilothouse bot` serves it."""

    host: str
    port: int
    store: InMemoryReleaseStore

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        url = f"http://{self.host}:{self.port}/slack/events"
        return httpx.post(
            url, content=body, headers=headers, trust_env=False, verify=PLAIN, timeout=20
        )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(
            f"http://{self.host}:{self.port}{path}", trust_env=False, verify=PLAIN, timeout=20
        )

    def signed(self, body: bytes, **more: str) -> httpx.Response:
        return self.post(body, {**signature(body), **more})

    def raw(self, sent: bytes, *, within_s: float = 60) -> bytes:
        """What comes back over a bare socket until the bot closes it, or sends a whole answer. A
        bot that waits for ever does neither."""
        with socket.create_connection((self.host, self.port), timeout=within_s) as connection:
            connection.sendall(sent)
            return received(connection)

    def count(self, metric: str) -> float:
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(metric + " "):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(metric)

    def rejected(self, reason: str) -> float:
        return self.count(f'pilothouse_http_rejected_total{{reason="{reason}"}}')


def received(connection: socket.socket) -> bytes:
    found = b""
    try:
        while b"\r\n\r\n" not in found and (chunk := connection.recv(65_536)):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def signature(body: bytes, *, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def command(text: str, *, trigger: str = "1.2.3", user: str = "U0DEV1") -> bytes:
    fields = {
        "command": "/deploy",
        "text": text,
        "team_id": "T0LOCAL",
        "user_id": user,
        "channel_id": CHANNEL,
        "trigger_id": trigger,
    }
    return urlencode(fields).encode()


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with LocalSlack(rate_scale=0) as running:
        yield running


@pytest.fixture
def door(slack: LocalSlack) -> Iterator[Door]:
    settings = Settings(
        redis_url="redis://127.0.0.1:1/0",
        config=Path("catalog.yaml"),
        slack_bot_token=slack.settings.bot_token,
        slack_signing_secret=SECRET,
        slack_api_url=slack.api_url,
    )
    store = InMemoryReleaseStore()
    context = Context(
        store=store,
        queue=InMemoryWorkQueue(),
        clusters=InMemoryClusters(),
        messenger=SlackMessenger(settings.slack_bot_token, slack.api_url),
        directory=SlackDirectory(settings.slack_bot_token, slack.api_url),
        catalog=catalog(),
        render=SlackRendering(("hello", "auth")),
        manifests=InMemoryManifests(),
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host, port = listener.getsockname()
        served = replace(settings, host=host, port=port)
        server = uvicorn.Server(server_config(build_app(context, served)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        assert eventually(lambda: server.started, within_s=30)
        yield Door(host, port, store)
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Of what a stranger sent, no log shows a stack trace or a line of the body."""
    caplog.set_level(logging.INFO)
    yield
    assert "Traceback" not in caplog.text
    assert "hostile-body" not in caplog.text


# --- unsigned -------------------------------------------------------------------------------------


def test_nothing_of_an_unsigned_body_reaches_a_log(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "slack_bolt")
    body = b"hostile-body\n2026-01-01 ERROR forged line " + b"a." * 40_000
    assert door.post(body).status_code == 401
    assert (
        door.signed(body[:-1] + b"x", **{"X-Slack-Signature": "v0=" + "0" * 64}).status_code == 401
    )
    assert door.rejected("signature") == 2
    assert "forged" not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Request-Timestamp": "x", "X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Request-Timestamp": "9" * 5_000, "X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Request-Timestamp": "1" * 10, "X-Slack-Signature": "v0=é"},
        {"X-Slack-Bolt-Lazy-Only": "1", "X-Slack-Bolt-Lazy-Function-Name": "on_command"},
    ],
    ids=["none", "no timestamp", "no number", "a long number", "not ASCII", "lazy"],
)
def test_odd_headers_are_refused(door: Door, headers: dict[str, str]) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    url = f"http://{door.host}:{door.port}/slack/events"
    answer = httpx.post(
        url, content=command("hello 2.0.0"), headers=encoded, trust_env=False, verify=PLAIN
    )
    assert answer.status_code == 401
    assert not door.store.active()


def test_wrong_and_old_signatures_change_nothing(door: Door) -> None:
    body = command("hello 2.0.0")
    assert door.post(body, signature(body, secret="wrong")).status_code == 401
    assert door.post(body, signature(body, at=time.time() - 301)).status_code == 401
    assert door.post(body, signature(body, at=time.time() + 600)).status_code == 401
    assert door.post(body + b"&x=1", signature(body)).status_code == 401
    assert not door.store.active()


def test_a_header_given_twice_is_refused(door: Door) -> None:
    body = command("hello 2.0.0")
    good = signature(body)
    lines = [f"{name}: {value}" for name, value in good.items()]
    lines += [f"X-Slack-Signature: v0={'0' * 64}", "Host: bot", f"Content-Length: {len(body)}"]
    answer = door.raw(request_of(lines, body))
    assert answer.startswith(b"HTTP/1.1 401")
    assert not door.store.active()


def request_of(lines: list[str], body: bytes = b"", path: str = "/slack/events") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\xff HTTP/1.1\r\nHost: bot\r\n\r\n",
        request_of(["Host: bot", "Content-Length: 5", "Content-Length: 6"], b"12345"),
        request_of(["Host: bot", "Content-Length: -1"]),
        request_of(["Host: bot", "Content-Length: " + "9" * 40]),
        request_of(["Host: bot", "Transfer-Encoding: chunked"], b"zz\r\nhostile-body\r\n"),
        request_of(["Host: bot", "Transfer-Encoding: chunked, gzip"], b"0\r\n\r\n"),
        request_of(["Host: bot", "X: " + "a" * 40_000]),
        request_of(["Host: bot", "no colon"]),
        request_of(["Host: bot", "Host: other", "Content-Length: 0"]),
        request_of(["Content-Length: 0"]),
    ],
)
def test_malformed_http_is_refused(door: Door, sent: bytes) -> None:
    answer = door.raw(sent)
    assert answer.startswith(b"HTTP/1.1 4") or not answer


def test_another_path_and_method_are_counted(door: Door) -> None:
    assert door.get("/../../etc/passwd").status_code == 404
    assert door.get("/slack/events").status_code == 405
    assert door.get("/slack/events/").status_code == 404
    assert door.rejected("no_such_path") == 3


def test_a_large_body_is_refused_however_it_is_announced(door: Door) -> None:
    large = b"a&" * 500_000
    assert door.post(large, signature(large)).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"a&" * 10_000

    url = f"http://{door.host}:{door.port}/slack/events"
    headers = signature(large)
    answer = httpx.post(url, content=chunks(), headers=headers, trust_env=False, verify=PLAIN)
    assert answer.status_code == 413
    assert door.rejected("too_large") == 2


def test_an_unfinished_body_is_answered_and_closed(door: Door) -> None:
    lines = [f"{name}: {value}" for name, value in signature(b"x").items()]
    answer = door.raw(request_of([*lines, "Host: bot", "Content-Length: 100"], b"hostile-body"))
    assert answer.startswith(b"HTTP/1.1 408")
    assert door.rejected("too_slow") == 1


def test_unfinished_headers_are_closed(door: Door) -> None:
    assert door.raw(b"POST /slack/events HTTP/1.1\r\nHost: bot\r\nX-Slow: ") == b""
    assert door.rejected("too_slow") == 1


def test_a_hundred_and_twenty_unfinished_bodies_leave_room_for_slack(door: Door) -> None:
    lines = [f"{name}: {value}" for name, value in signature(b"x").items()]
    head = request_of([*lines, "Host: bot", f"Content-Length: {admission.MAX_BODY}"])
    opened = []
    tracemalloc.start()
    try:
        for _ in range(120):
            connection = socket.create_connection((door.host, door.port), timeout=15)
            connection.sendall(head + b"a&" * 100_000)
            opened.append(connection)
        assert door.signed(command("hello 2.0.0")).status_code == 200
        _, peak = tracemalloc.get_traced_memory()
        assert peak < PLENTY_MB * 1_000_000
        assert all(
            answer[:12] in (b"HTTP/1.1 408", b"HTTP/1.1 503", b"")
            for answer in map(received, opened)
        )
    finally:
        tracemalloc.stop()
        for connection in opened:
            connection.close()
    assert door.rejected("too_many") >= 120 - admission.MAX_READING


def test_idle_connections_leave_room_for_slack(door: Door) -> None:
    opened = [
        socket.create_connection((door.host, door.port), timeout=15)
        for _ in range(connections.MAX_CONNECTIONS + 20)
    ]
    try:
        assert door.signed(command("hello 2.0.0")).status_code == 200
    finally:
        for connection in opened:
            connection.close()


def test_the_time_of_a_refusal_grows_with_its_size_at_most(door: Door) -> None:
    def cpu(size: int) -> float:
        body = b"a." * (size // 2)
        headers = {**signature(body), "X-Slack-Signature": "v0=" + "0" * 64}
        best = float("inf")
        for _ in range(5):
            began = time.process_time()
            assert door.post(body, headers).status_code == 401
            best = min(best, time.process_time() - began)
        return best

    small = cpu(admission.MAX_BODY // 16)
    assert cpu(admission.MAX_BODY) <= 24 * small


def test_asking_whether_it_is_ready_looks_at_redis_once_a_second(door: Door) -> None:
    asked = 0

    def now() -> int:
        nonlocal asked
        asked += 1
        return 0

    door.store._clock = now
    began = time.monotonic()
    for _ in range(20):
        assert door.get("/readyz").text == "ready"
    assert asked <= 2 + (time.monotonic() - began) / KNOWN_FOR_S


# --- signed, and of no shape that Slack sends -----------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        b"payload=1",
        b"payload=%7B",
        b"payload=" + b"[" * 100_000,
        b"[" * 200_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b'{"type":"event_callback"}',
        b'{"type":"event_callback","event_id":"E","event":[]}',
        b'{"type":"block_actions","user":"U0DEV1","actions":[]}',
        b'{"type":"url_verification"}',
        b'{"type":["event_callback"]}',
        b"command=%2Fdeploy&user_id=U0DEV1",
        b"command=%2Fdeploy&user_id=U0DEV1&trigger_id=1&text=%ff",
        b"a&" * 100_000,
        b'{"type":"event_callback","event_id":"\\ud800","event":{"type":"x"}}',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_a_signed_body_of_no_known_shape_is_400(door: Door, body: bytes) -> None:
    answer = door.post(body, signature_of_bytes(body))
    assert answer.status_code in (400, 401)
    assert "hostile" not in answer.text
    assert door.rejected("unreadable") + door.rejected("signature") == 1


def signature_of_bytes(body: bytes) -> dict[str, str]:
    return {**signature(body), "Content-Type": "application/x-www-form-urlencoded"}


# --- fuzz -----------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, "", "x", "hello-1", "\x00", "\u202e", "é" * 50, "[" * 2_000,
    "{}", "[]", '{"release":"hello-1","gate":"start","plan":"x"}', '{"token":"x","choice":99}',
    '{"what":"deploy hello"}', '{"token":null}', '{"release":{"a":1}}', '{"release":"\\ud800"}',
    "1\n2", "<!channel>", [], {}, [[]], {"id": "U0DEV1"}, {"value": "x"},
)  # fmt: skip


def odd_value(chance: random.Random) -> Any:
    return chance.choice(ODD)


def shaken(chance: random.Random, value: Any, share: float = 0.12) -> Any:
    """A payload in which some values are replaced, and some are missing."""
    if chance.random() < share:
        return odd_value(chance)
    if isinstance(value, dict):
        return {k: shaken(chance, v, share) for k, v in value.items() if chance.random() > 0.04}
    if isinstance(value, list):
        return [shaken(chance, one, share) for one in value]
    return value


def person() -> dict[str, Any]:
    return {"id": "U0DEV1", "team_id": "T0LOCAL", "username": "developer"}


def click(chance: random.Random) -> dict[str, Any]:
    names = (*BUTTONS, "go_on", "share", "file", "meant", "show", "unknown")
    return {
        "type": "block_actions",
        "user": person(),
        "team": {"id": "T0LOCAL"},
        "channel": {"id": CHANNEL},
        "container": {"type": "message", "message_ts": "1.1", "channel_id": CHANNEL},
        "message": {"ts": "1.1"},
        "trigger_id": f"{chance.random()}",
        "actions": [
            {
                "type": "button",
                "action_id": chance.choice(
                    (f"{ACTION_PREFIX}{chance.choice(names)}", "deploy_app", "x")
                ),
                "value": chance.choice([one for one in ODD if isinstance(one, str)]),
                "action_ts": f"{chance.random() * 1e9:.6f}",
            }
        ],
        "view": view(chance, CALLBACK),
    }


def view(chance: random.Random, callback: str) -> dict[str, Any]:
    text = [one for one in ODD if isinstance(one, str)]
    option = {"selected_option": {"value": chance.choice(text)}}
    return {
        "id": f"V{chance.random()}",
        "type": "modal",
        "callback_id": callback,
        "private_metadata": chance.choice((json.dumps({"channel": CHANNEL}), *text)),
        "hash": "1",
        "state": {
            "values": {
                "app": {"deploy_app": {"selected_option": {"value": "hello"}}},
                "version": {"deploy_version": {"value": chance.choice(text)}},
                "strategy": {"deploy_strategy": option},
                "steps": {"deploy_steps": {"value": chance.choice(text)}},
                "reason": {"reject_reason": {"value": chance.choice(text)}},
            }
        },
    }


def submission(chance: random.Random) -> dict[str, Any]:
    return {
        "type": chance.choice(("view_submission", "view_closed")),
        "user": person(),
        "team": {"id": "T0LOCAL"},
        "view": view(chance, chance.choice((CALLBACK, REJECT_CALLBACK))),
    }


def event(chance: random.Random) -> dict[str, Any]:
    return {
        "type": "event_callback",
        "event_id": f"Ev{chance.random()}",
        "team_id": "T0LOCAL",
        "authorizations": [{"user_id": "U0BOT"}],
        "event": {
            "type": chance.choice(("app_mention", "app_home_opened", "message", "x")),
            "user": "U0DEV1",
            "text": f"<@U0BOT> {odd_value(chance)}",
            "channel": CHANNEL,
            "ts": f"{time.time():.6f}",
            "tab": "messages",
        },
    }


def slash(chance: random.Random) -> dict[str, Any]:
    return {
        "command": chance.choice(("/deploy", "/rollout", "/whoami", "/x")),
        "text": str(odd_value(chance)),
        "team_id": "T0LOCAL",
        "user_id": "U0DEV1",
        "channel_id": CHANNEL,
        "trigger_id": f"{chance.random()}",
    }


KINDS = {"click": click, "submission": submission, "event": event}


def test_shaken_payloads_never_give_5xx(door: Door) -> None:
    chance = random.Random(SEED)
    url = f"http://{door.host}:{door.port}/slack/events"
    with httpx.Client(trust_env=False, verify=PLAIN, timeout=20) as client:
        for number in range(INPUTS):
            if number % 4 == 3:
                fields = shaken(chance, slash(chance), 0.05)
                body = urlencode(fields if isinstance(fields, dict) else {"a": "b"}).encode()
            else:
                made = chance.choice(list(KINDS.values()))(chance)
                as_json = json.dumps(shaken(chance, made, chance.choice((0.0, 0.05, 0.2))))
                body = (
                    as_json.encode()
                    if as_json.startswith('{"type": "event')
                    else urlencode({"payload": as_json}).encode()
                )
            answer = client.post(url, content=body, headers=signature(body))
            assert answer.status_code < 500, (SEED, number, body)
            assert "Something went wrong" not in answer.text, (SEED, number, body)


def test_random_bytes_never_give_5xx(door: Door) -> None:
    chance = random.Random(SEED)
    good = request_of(["Host: bot", "Content-Length: 12"], b"hostile-body")
    for number in range(INPUTS // 4):
        sent = bytearray(good)
        for _ in range(chance.randrange(1, 8)):
            sent[chance.randrange(len(sent))] = chance.randrange(256)
        with socket.create_connection((door.host, door.port), timeout=15) as connection:
            connection.sendall(bytes(sent))
            connection.shutdown(socket.SHUT_WR)
            answer = received(connection)
        assert not answer.startswith(b"HTTP/1.1 5"), (SEED, number, bytes(sent))
