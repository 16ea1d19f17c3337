"""The bot over HTTP: `POST /slack/events` for everything Slack sends, and health and metrics for
everybody else.

Starlette on uvicorn; Bolt, which is synchronous, runs on a pool of threads, so a slow listener
never holds up another's acknowledgement.
"""

from __future__ import annotations

import functools
import json
import logging
import signal
import time
from collections.abc import Callable
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
_log = logging.getLogger(__name__)


class RequestMetrics:
    """What was taken from Slack and how long each acknowledgement took."""

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


def make_asgi(app: App | None, is_ready: Callable[[], object]) -> Starlette:
    """``is_ready`` raises StoreUnavailable when Redis is away. ``app`` None (Socket Mode): health
    and metrics only."""
    metrics = RequestMetrics()
    limiter: list[anyio.CapacityLimiter] = []  # made inside the event loop

    async def in_thread(call: Callable[[], object]) -> object:
        if not limiter:
            limiter.append(anyio.CapacityLimiter(THREADS))
        return await anyio.to_thread.run_sync(call, limiter=limiter[0])

    async def events(request: Request) -> Response:
        began = time.perf_counter()
        kind, response = "unreadable", PlainTextResponse("the body is too large", 413)
        if int(request.headers.get("content-length") or 0) <= MAX_BODY:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    break
            if len(body) <= MAX_BODY and app is not None:
                answer = await in_thread(
                    functools.partial(dispatch, app, bytes(body), dict(request.headers))
                )
                assert isinstance(answer, tuple)
                kind, response = answer
        metrics.observe(kind, response.status_code, time.perf_counter() - began)
        return response

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_request: Request) -> Response:
        try:
            await in_thread(is_ready)
        except StoreUnavailable as away:
            return PlainTextResponse(f"not ready: {away}", 503)
        return PlainTextResponse("ready")

    async def exposition(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]
    if app is not None:
        routes.insert(0, Route("/slack/events", events, methods=["POST"]))
    return Starlette(routes=routes)


def dispatch(app: App, body: bytes, headers: dict[str, str]) -> tuple[str, Response]:
    """(kind of request, answer). What is not a request of Slack's shape is 400, before anything is
    read from it."""
    try:
        request = bolt_request(body.decode("utf-8"), headers)
    except (UnicodeDecodeError, ValueError, AttributeError, TypeError):
        return "unreadable", PlainTextResponse("this is not a request from Slack", 400)
    return kind_of(request), to_response(app.dispatch(request))


def bolt_request(raw: str, headers: dict[str, str]) -> BoltRequest:
    """A form that merely contains the word "payload" (in a reason, say) reads as empty in Bolt's
    own parser: read again here."""
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
    """Until SIGTERM or SIGINT; requests being answered are finished first."""
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
        # uvicorn raises the signal again once it has stopped: it must not end the answers that go
        # out after their acknowledgements
        signal.signal(number, lambda *_: None)
    server.run()
    if not server.started:
        _log.error(json.dumps({"cannot listen on": f"{settings.host}:{settings.port}"}))
        return 1
    return 0
