"""The bot over HTTP: `POST /slack/events` for Slack, health and metrics for everyone else.

Starlette on uvicorn. Bolt, which is synchronous, runs on a pool of threads, so a slow listener
never holds up another acknowledgement.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl

import anyio.to_thread
import uvicorn
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.context import BoltContext
from slack_bolt.request.internals import build_context
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.ports import StoreUnavailable
from config.settings import Settings

MAX_BODY = 1_000_000
"""Bytes; Slack's largest payloads (a view with its state) are a tenth of it."""
THREADS = 32
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)
T = TypeVar("T")
_log = logging.getLogger(__name__)


class RequestMetrics:
    """Requests from Slack, and the time to acknowledge each."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pilothouse_slack_requests",
            "Requests from Slack by answer",
            ("kind", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pilothouse_slack_ack_seconds",
            "Seconds to acknowledge",
            ("kind",),
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def observe(self, kind: str, status: int, seconds: float) -> None:
        self.requests.labels(kind, str(status)).inc()
        self.seconds.labels(kind).observe(seconds)


class _Endpoints:
    """Bolt is synchronous, so it runs on a pool of threads."""

    def __init__(self, app: App | None, is_ready: Callable[[], object]) -> None:
        self._app = app
        self._is_ready = is_ready
        self._metrics = RequestMetrics()
        self._limiter: anyio.CapacityLimiter | None = None  # needs a running event loop

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(call, limiter=self._limiter)

    async def events(self, request: Request) -> Response:
        began = time.perf_counter()
        body, app = await _read_body(request), self._app
        if body is None or app is None:
            answer = too_large()
        else:
            headers = dict(request.headers)
            answer = await self._in_thread(lambda: dispatch(app, body, headers))
        kind, response = answer
        self._metrics.observe(kind, response.status_code, time.perf_counter() - began)
        return response

    async def healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(self, _request: Request) -> Response:
        try:
            await self._in_thread(self._is_ready)
        except StoreUnavailable as away:
            return PlainTextResponse(f"not ready: {away}", 503)
        return PlainTextResponse("ready")

    async def metrics(self, _request: Request) -> Response:
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)


def make_asgi(app: App | None, is_ready: Callable[[], object]) -> Starlette:
    """``is_ready`` raises StoreUnavailable while Redis is away. ``app`` None (Socket Mode): health
    and metrics only."""
    endpoints = _Endpoints(app, is_ready)
    routes = [
        Route("/healthz", endpoints.healthz),
        Route("/readyz", endpoints.readyz),
        Route("/metrics", endpoints.metrics),
    ]
    if app is not None:
        routes.insert(0, Route("/slack/events", endpoints.events, methods=["POST"]))
    return Starlette(routes=routes)


async def _read_body(request: Request) -> bytes | None:
    """None for more than MAX_BODY."""
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def too_large() -> tuple[str, Response]:
    return "unreadable", PlainTextResponse("the body is too large", 413)


def dispatch(app: App, body: bytes, headers: dict[str, str]) -> tuple[str, Response]:
    """(kind of request, response). A body that is not of Slack's shape gets 400 before anything is
    read from it."""
    try:
        request = bolt_request(body.decode("utf-8"), headers)
    except (UnicodeDecodeError, ValueError, AttributeError, TypeError):
        return "unreadable", PlainTextResponse("this is not a request from Slack", 400)
    return kind_of(request), to_response(app.dispatch(request))


def bolt_request(raw: str, headers: dict[str, str]) -> BoltRequest:
    """Bolt's own parser reads a form that merely contains the word "payload" (in a reason, say) as
    empty, so such a form is parsed again."""
    request = BoltRequest(body=raw, headers=dict(headers))
    if raw and not request.body and not raw.startswith("{"):
        request.body = dict(parse_qsl(raw, keep_blank_values=True))
        request.context = build_context(BoltContext({}), request.body)
    return request


def kind_of(request: BoltRequest) -> str:
    body = request.body
    if "command" in body:
        return "command"
    kind = str(body.get("type", ""))
    return (
        kind
        if kind
        in (
            "block_actions",
            "view_submission",
            "view_closed",
            "event_callback",
            "url_verification",
        )
        else "other"
    )


def to_response(answer: BoltResponse) -> Response:
    headers = answer.first_headers_without_set_cookie()
    return Response(content=answer.body, status_code=answer.status, headers=headers)


def serve_http(app: App | None, settings: Settings, is_ready: Callable[[], object]) -> int:
    """Serves until SIGTERM or SIGINT, and finishes open requests first."""
    config = uvicorn.Config(
        make_asgi(app, is_ready),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has stopped, which would end the replies that
        # follow their acknowledgements.
        signal.signal(number, lambda *_: None)
    server.run()
    if not server.started:
        _log.error(json.dumps({"cannot listen on": f"{settings.host}:{settings.port}"}))
        return 1
    return 0
