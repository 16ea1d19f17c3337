"""The bot over HTTP: `POST /slack/events` for Slack, health and metrics for everyone else.

Starlette on uvicorn. Bolt, which is synchronous, runs on a pool of threads, so a slow listener
never holds up another acknowledgement. A request is bounded, its signature is checked and its shape
is checked before Bolt sees it.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server
from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.context import BoltContext
from slack_bolt.request.internals import build_context
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bot.ports import StoreUnavailable
from bot.slack.admission import UNREADABLE, Admission, Rejected
from bot.slack.connections import MAX_HEADERS, BoundedConnection, Unfinished
from bot.slack.payloads import NotFromSlack, read_payload
from bot.slack.request_metrics import CountingResponses, RequestMetrics
from config.settings import Settings

THREADS = 32
REFUSED_AFTER_SECONDS = 0.2
"""What Slack did not sign waits for its refusal: clients that send one after another leave the
processor to Slack's requests."""
READY_SECONDS = 1.0
"""How long one look at Redis serves everyone who asks whether the bot is ready."""
_log = logging.getLogger(__name__)


class _SlackEndpoint:
    """Bolt is synchronous, so it runs on a pool of threads."""

    def __init__(self, app: App, admission: Admission, metrics: RequestMetrics) -> None:
        self._app = app
        self._admission = admission
        self._metrics = metrics
        self._limiter: anyio.CapacityLimiter | None = None  # needs a running event loop

    async def events(self, request: Request) -> Response:
        began = time.perf_counter()
        body = await self._admission.admit(request)
        if isinstance(body, Rejected):
            await anyio.sleep(REFUSED_AFTER_SECONDS)
            return self._rejected(body)
        try:
            kind, payload = read_payload(body)
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(THREADS)
            response = await anyio.to_thread.run_sync(
                lambda: dispatch(self._app, payload), limiter=self._limiter
            )
        except NotFromSlack:
            return self._rejected(UNREADABLE)
        self._metrics.observe(kind, response.status_code, time.perf_counter() - began)
        return response

    def _rejected(self, why: Rejected) -> Response:
        self._metrics.reject(why.reason)
        headers = {"Connection": "close"} if why.closes else None
        return PlainTextResponse(why.line, why.status, headers)


class _Readiness:
    """Anyone may ask, so one look at Redis serves all who ask at once, on a thread of its own."""

    def __init__(self, is_ready: Callable[[], object]) -> None:
        self._is_ready = is_ready
        self._lock = anyio.Lock()
        self._known: tuple[float, str] | None = None

    async def readyz(self, _request: Request) -> Response:
        async with self._lock:
            now = time.monotonic()
            if self._known is None or now - self._known[0] > READY_SECONDS:
                self._known = now, await anyio.to_thread.run_sync(self._look)
            obstacle = self._known[1]
        if obstacle:
            return PlainTextResponse(f"not ready: {obstacle}", 503)
        return PlainTextResponse("ready")

    def _look(self) -> str:
        try:
            self._is_ready()
        except StoreUnavailable as away:
            return str(away)
        return ""


async def healthz(_request: Request) -> Response:
    return PlainTextResponse("ok")


def make_asgi(
    app: App | None,
    is_ready: Callable[[], object],
    signing_secret: str,
    metrics: RequestMetrics | None = None,
    *,
    shows_metrics: bool = True,
) -> ASGIApp:
    """``is_ready`` raises StoreUnavailable while Redis is away. ``app`` None (Socket Mode): health
    and metrics only."""
    counted = metrics if metrics is not None else RequestMetrics()

    async def serve_metrics(_request: Request) -> Response:
        return Response(generate_latest(counted.registry), media_type=CONTENT_TYPE_LATEST)

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", _Readiness(is_ready).readyz),
    ]
    if shows_metrics:
        routes.append(Route("/metrics", serve_metrics))
    if app is not None:
        slack = _SlackEndpoint(app, Admission(signing_secret), counted)
        routes.insert(0, Route("/slack/events", slack.events, methods=["POST"]))
    starlette = Starlette(routes=routes)
    starlette.router.redirect_slashes = False
    return CountingResponses(starlette, counted)


def dispatch(app: App, payload: dict[str, Any]) -> Response:
    """Headers go no further: Bolt obeys some that Slack does not sign. Raises NotFromSlack where
    Bolt itself fails on a field that no listener reads; a listener's errors never get here."""
    request = BoltRequest(body="")
    request.body = payload
    try:
        request.context = build_context(BoltContext({}), payload)
        return to_response(app.dispatch(request))
    except (AttributeError, LookupError, TypeError, ValueError):
        raise NotFromSlack("Bolt cannot read the body") from None


def to_response(answer: BoltResponse) -> Response:
    headers = answer.first_headers_without_set_cookie()
    return Response(content=answer.body, status_code=answer.status, headers=headers)


def server_config(
    app: App | None,
    settings: Settings,
    is_ready: Callable[[], object],
    metrics: RequestMetrics | None = None,
) -> uvicorn.Config:
    metrics = metrics or RequestMetrics()
    asgi = make_asgi(
        app,
        is_ready,
        settings.slack_signing_secret,
        metrics,
        shows_metrics=settings.metrics_port is None,
    )
    return uvicorn.Config(
        asgi,
        host=settings.host,
        port=settings.port,
        http=partial(BoundedConnection, Unfinished(metrics)),  # type: ignore[arg-type]
        ws="none",
        h11_max_incomplete_event_size=MAX_HEADERS,
        log_config=None,
        log_level="error",  # a malformed request is counted; a line for each could fill the disk
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )


def serve_http(app: App | None, settings: Settings, is_ready: Callable[[], object]) -> int:
    """Serves until SIGTERM or SIGINT, and finishes open requests first. Metrics are on a port of
    their own where one is set: the other one faces the Internet."""
    metrics = RequestMetrics()
    if settings.metrics_port is not None:
        try:
            start_http_server(settings.metrics_port, settings.host, metrics.registry)
        except OSError as error:
            _log.error("cannot listen on %s:%d: %s", settings.host, settings.metrics_port, error)
            return 1
    server = uvicorn.Server(server_config(app, settings, is_ready, metrics))
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has stopped, which would end the replies that
        # follow their acknowledgements.
        signal.signal(number, lambda *_: None)
    server.run()
    if not server.started:
        _log.error(json.dumps({"cannot listen on": f"{settings.host}:{settings.port}"}))
        return 1
    return 0
