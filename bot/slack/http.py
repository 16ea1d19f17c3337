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

from bot.patience import ACKNOWLEDGE_WITHIN_S, patience_of
from bot.readiness import Readiness
from bot.slack.admission import UNREADABLE, Admission, Rejected
from bot.slack.app import PromptApp
from bot.slack.connections import MAX_HEADERS, BoundedConnection, Unfinished
from bot.slack.payloads import NotFromSlack, read_payload
from bot.slack.request_metrics import CountingResponses, RequestMetrics

THREADS = 32
REFUSED_AFTER_SECONDS = 0.2
"""What Slack did not sign waits for its refusal: clients that send one after another leave the
processor to Slack's requests."""
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
            with patience_of(ACKNOWLEDGE_WITHIN_S):  # waiting for a thread counts too
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


async def _readyz(readiness: Readiness, _request: Request) -> Response:
    found = await anyio.to_thread.run_sync(readiness.read)
    return PlainTextResponse(found.text, 200 if found.is_ready else 503)


async def healthz(_request: Request) -> Response:
    return PlainTextResponse("ok")


def make_asgi(
    app: PromptApp,
    metrics: RequestMetrics | None = None,
    *,
    shows_metrics: bool = True,
    takes_requests: bool = True,
) -> ASGIApp:
    """``takes_requests`` False (Socket Mode): health and metrics only."""
    counted = metrics if metrics is not None else RequestMetrics()

    def reach_redis() -> int:
        return app.context.store.now()

    readiness = Readiness(reach_redis)
    counted.watch_redis(readiness)

    async def serve_metrics(_request: Request) -> Response:
        return Response(generate_latest(counted.registry), media_type=CONTENT_TYPE_LATEST)

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", partial(_readyz, readiness)),
    ]
    if shows_metrics:
        routes.append(Route("/metrics", serve_metrics))
    if takes_requests:
        slack = _SlackEndpoint(app, Admission(lambda: app.settings.signing_secrets), counted)
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
    app: PromptApp, metrics: RequestMetrics | None = None, *, takes_requests: bool = True
) -> uvicorn.Config:
    metrics, settings = metrics or RequestMetrics(), app.settings
    shows_metrics = settings.metrics_port is None
    asgi = make_asgi(app, metrics, shows_metrics=shows_metrics, takes_requests=takes_requests)
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


def serve_http(app: PromptApp, metrics: RequestMetrics, *, takes_requests: bool = True) -> int:
    """Serves until SIGTERM or SIGINT, and finishes open requests first. Metrics are on a port of
    their own where one is set: the other one faces the Internet."""
    settings = app.settings
    if settings.metrics_port is not None:
        try:
            start_http_server(settings.metrics_port, settings.host, metrics.registry)
        except OSError as error:
            _log.error("cannot listen on %s:%d: %s", settings.host, settings.metrics_port, error)
            return 1
    server = uvicorn.Server(server_config(app, metrics, takes_requests=takes_requests))
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has stopped, which would end the replies that
        # follow their acknowledgements.
        signal.signal(number, lambda *_: None)
    server.run()
    if not server.started:
        _log.error(json.dumps({"cannot listen on": f"{settings.host}:{settings.port}"}))
        return 1
    return 0
