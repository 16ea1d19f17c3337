"""The connection to the app: signed HTTP requests to its URL, or envelopes over Socket Mode while
the app is connected that way.

Slack waits three seconds for an answer. The result, or the reason there was none, is an `Answer`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.slack.errors import SlackError
from sandbox.slack.journal import Journal
from sandbox.slack.settings import SlackSettings
from sandbox.slack.signing import signature_headers

Json = dict[str, Any]
Envelope = Literal["slash_commands", "interactive", "events_api"]


@dataclass(frozen=True, slots=True)
class Answer:
    """`problem` is empty when the app answered 200 in time; otherwise Slack's name for the
    failure."""

    problem: str
    status: int
    body: str
    duration_ms: float
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Json | None:
        """The answer as an object, or None when it is empty or plain text."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


@dataclass(slots=True, eq=False)
class _SocketConnection:
    websocket: WebSocket
    waiting: dict[str, asyncio.Future[Json]] = field(default_factory=dict)


class AppLink:
    def __init__(self, settings: SlackSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self.bot_url = settings.bot_url
        self._http: httpx.AsyncClient | None = None
        self._tickets: set[str] = set()
        self._sockets: list[_SocketConnection] = []
        self._turn = itertools.count()

    @property
    def transport(self) -> str:
        if self._sockets:
            return "socket"
        return "http" if self.bot_url else "none"

    async def send(
        self, kind: Envelope, name: str, payload: Json, retry: tuple[int, str] | None = None
    ) -> Answer:
        """`name` is for the inspector; `retry` is the number and reason of a repeated event."""
        at = time.time()
        if self._sockets:
            answer = await self._send_by_socket(kind, payload, retry)
        elif self.bot_url:
            answer = await self._send_by_http(kind, payload, retry)
        else:
            answer = Answer("dispatch_failed", 0, "", 0.0)
        self._journal.add(
            {
                "kind": "delivery",
                "name": name,
                "at": at,
                "duration_ms": round(answer.duration_ms, 2),
                "transport": self.transport,
                "request": payload,
                "status": answer.status,
                "problem": answer.problem,
                "response": answer.json if answer.json is not None else answer.body,
                **({"retry": {"number": retry[0], "reason": retry[1]}} if retry else {}),
            }
        )
        return answer

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
        for connection in list(self._sockets):
            for future in connection.waiting.values():
                future.cancel()

    async def _send_by_http(
        self, kind: Envelope, payload: Json, retry: tuple[int, str] | None
    ) -> Answer:
        assert self.bot_url is not None
        headers = {"User-Agent": "Slackbot 1.0 (local)"}
        if kind == "events_api":
            body = json.dumps(payload).encode()
            headers["Content-Type"] = "application/json"
        else:
            form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
            body = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if retry is not None:
            headers |= {"X-Slack-Retry-Num": str(retry[0]), "X-Slack-Retry-Reason": retry[1]}
        headers |= signature_headers(self._settings.signing_secret, body, int(time.time()))
        if self._http is None:
            limits = httpx.Limits(
                max_connections=200, max_keepalive_connections=50, keepalive_expiry=4.0
            )
            self._http = httpx.AsyncClient(
                timeout=self._settings.ack_seconds + 60.0, limits=limits, trust_env=False
            )
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.ack_seconds):
                response = await self._http.post(self.bot_url, content=body, headers=headers)
        except TimeoutError:
            return Answer("operation_timeout", 0, "", (time.perf_counter() - started) * 1000)
        except (httpx.HTTPError, httpx.InvalidURL):
            return Answer("dispatch_failed", 0, "", (time.perf_counter() - started) * 1000)
        duration = (time.perf_counter() - started) * 1000
        problem = "" if response.status_code == 200 else "dispatch_failed"
        return Answer(
            problem, response.status_code, response.text, duration, dict(response.headers)
        )

    # --- Socket Mode ---

    def open_ticket(self) -> str:
        """For apps.connections.open: a URL that one connection may use once."""
        if len(self._sockets) >= 10:
            raise SlackError("too_many_websockets")
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return ticket

    async def serve_socket(self, websocket: WebSocket) -> None:
        ticket = websocket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await websocket.close(code=4401)
            return
        self._tickets.discard(ticket)
        await websocket.accept()
        connection = _SocketConnection(websocket)
        self._sockets.append(connection)
        hello: Json = {
            "type": "hello",
            "num_connections": len(self._sockets),
            "debug_info": {"host": "local", "build_number": 1, "approximate_connection_time": 3600},
            "connection_info": {"app_id": self._settings.app_id},
        }
        try:
            await websocket.send_json(hello)
            while True:
                self._take(connection, await websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            if connection in self._sockets:
                self._sockets.remove(connection)

    async def disconnect_sockets(
        self, reason: str = "refresh_requested", *, abruptly: bool = False
    ) -> int:
        """Asks connected apps to reconnect, as Slack does every few hours, or cuts their
        connections."""
        leaving, self._sockets = self._sockets, []
        for connection in leaving:
            if abruptly:
                await connection.websocket.close(code=1001)
            else:
                await connection.websocket.send_json(
                    {"type": "disconnect", "reason": reason, "debug_info": {"host": "local"}}
                )
        return len(leaving)

    def _take(self, connection: _SocketConnection, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        future = connection.waiting.pop(str(message.get("envelope_id")), None)
        if future is not None and not future.done():
            payload = message.get("payload")
            future.set_result(payload if isinstance(payload, dict) else {})

    async def _send_by_socket(
        self, kind: Envelope, payload: Json, retry: tuple[int, str] | None
    ) -> Answer:
        connection = self._sockets[next(self._turn) % len(self._sockets)]
        envelope_id = f"{secrets.token_hex(4)}-{secrets.token_hex(8)}"
        envelope: Json = {
            "envelope_id": envelope_id,
            "type": kind,
            "accepts_response_payload": kind != "events_api",
            "payload": payload,
        }
        if kind == "events_api":
            envelope |= {
                "retry_attempt": retry[0] if retry else 0,
                "retry_reason": retry[1] if retry else "",
            }
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope_id] = future
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.ack_seconds):
                await connection.websocket.send_json(envelope)
                answer = await future
        except TimeoutError:
            return Answer("operation_timeout", 0, "", (time.perf_counter() - started) * 1000)
        except (RuntimeError, WebSocketDisconnect):
            return Answer("dispatch_failed", 0, "", (time.perf_counter() - started) * 1000)
        finally:
            connection.waiting.pop(envelope_id, None)
        duration = (time.perf_counter() - started) * 1000
        return Answer("", 200, json.dumps(answer) if answer else "", duration)
