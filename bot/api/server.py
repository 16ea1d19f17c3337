"""The API over HTTP, on a port of its own. What it does is synchronous and runs on a few threads of
its own, so that Slack's requests never wait behind it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from bot.api.bodies import read_request
from bot.api.openapi import API, description
from bot.api.problems import Problem, problem
from bot.api.shapes import Shape, plan_shape, release_shape
from bot.api.stream import PLACE, events_of
from bot.api.tokens import Tokens
from bot.operations.context import Context, new_log_id
from bot.operations.intake.start_by_caller import CallerRefusal, start_by_caller
from bot.operations.queries.find_for_caller import find_for_caller, read_story
from bot.patience import ACKNOWLEDGE_WITHIN_S, patience_of
from bot.policy.callers import Caller
from bot.ports import StoreUnavailable, Story, UnknownSchema
from bot.releases.facts.release import Release
from bot.slack.connections import MAX_HEADERS, BoundedConnection, Unfinished
from bot.slack.request_metrics import RequestMetrics

THREADS = 16
MAX_STREAMS = 64
REFUSED_AFTER_SECONDS = 0.2
"""Who guesses tokens leaves the processor to others."""
ENDS_WITHIN_S = 8.0

T = TypeVar("T")
Act = Callable[[Request, Caller], Awaitable[Response | Problem]]

log = logging.getLogger(__name__)


class _Endpoints:
    def __init__(
        self, context: Callable[[], Context], metrics: RequestMetrics, tokens: Tokens
    ) -> None:
        self._context = context
        self._metrics = metrics
        self._tokens = tokens
        self._limiter: anyio.CapacityLimiter | None = None  # needs a running event loop
        self._streams = 0
        self.is_ending = False

    def route(self, path: str, name: str, act: Act, method: str) -> Route:
        async def guarded(request: Request) -> Response:
            began = time.perf_counter()
            found = await self._answer(request, act)
            response = found.response() if isinstance(found, Problem) else found
            self._metrics.observe_api(name, response.status_code, time.perf_counter() - began)
            return response

        return Route(f"{API}{path}", guarded, methods=[method], name=name)

    async def _answer(self, request: Request, act: Act) -> Response | Problem:
        try:
            caller = self._caller_of(request)
            if isinstance(caller, Problem):
                await anyio.sleep(REFUSED_AFTER_SECONDS)
                return caller
            return await act(request, caller)
        except StoreUnavailable as away:
            return problem("unavailable", str(away))
        except UnknownSchema as newer:
            return problem("unavailable", str(newer))
        except Exception:  # logged with its traceback, of which the caller reads nothing
            name = new_log_id(self._context())
            log.exception("%s: a request of the API failed", name)
            return problem("internal", f"Something went wrong inside Pilothouse ({name}).")

    def _caller_of(self, request: Request) -> Caller | Problem:
        return self._tokens.caller_of(request.headers.getlist("authorization"))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        with patience_of(ACKNOWLEDGE_WITHIN_S):
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def start(self, request: Request, caller: Caller) -> Response | Problem:
        asked = await read_request(request)
        if isinstance(asked, Problem):
            return asked
        context = self._context()
        reply = await self._in_thread(lambda: start_by_caller(context, caller, asked))
        if isinstance(reply, CallerRefusal):
            return problem(reply.code, reply.line)
        found = reply.release
        address = {"Location": f"{API}/releases/{found.id}"}
        return _json(release_shape(found), 201 if reply.fresh else 200, address)

    async def show(self, request: Request, caller: Caller) -> Response | Problem:
        found = await self._release(request, caller)
        return found if isinstance(found, Problem) else _json(release_shape(found))

    async def plan(self, request: Request, caller: Caller) -> Response | Problem:
        found = await self._release(request, caller)
        if isinstance(found, Problem):
            return found
        if found.plan is None:
            return problem("not_found", f"{found.id} has no plan yet: it is made as it starts.")
        return _json(plan_shape(found.plan, self._context().render.plan(found.plan)))

    async def events(self, request: Request, caller: Caller) -> Response | Problem:
        after = request.headers.get("last-event-id", "")
        if after and not PLACE.fullmatch(after):
            return problem("malformed", "Last-Event-ID is not the id of an event of this stream.")
        found = await self._release(request, caller)
        if isinstance(found, Problem):
            return found
        if self._streams >= MAX_STREAMS:
            return problem("too_many", f"{MAX_STREAMS} streams are open already.")
        read = partial(self._read_on, request, found.id)
        stream = self._counted(events_of(read, after, lambda: not self.is_ending))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, 200, headers, "text/event-stream")

    async def _counted(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            async for chunk in stream:
                yield chunk
        finally:
            self._streams -= 1

    async def _read_on(
        self, request: Request, release_id: str, after: str
    ) -> tuple[Release, Story] | None:
        """Who comes in is asked each time: a token that was taken away reads no further."""
        caller, context = self._caller_of(request), self._context()
        if isinstance(caller, Problem):
            return None

        def read() -> tuple[Release, Story] | None:
            release = find_for_caller(context, caller, release_id)
            return None if release is None else (release, read_story(context, release, after))

        return await self._in_thread(read)

    async def _release(self, request: Request, caller: Caller) -> Release | Problem:
        context, release_id = self._context(), request.path_params["release"][:100]
        found = await self._in_thread(lambda: find_for_caller(context, caller, release_id))
        return found or problem("not_found", "There is no such release for this token.")


def _json(shape: Shape, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    kept = {"Cache-Control": "no-store", **(headers or {})}
    return Response(shape.model_dump_json(), status, kept, "application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return problem("method_not_allowed", "That method is not allowed here.").response()
    return problem("not_found", "There is nothing at this address.").response()


async def _description(_request: Request) -> Response:
    return Response(orjson.dumps(description()), media_type="application/json")


@dataclass(frozen=True)
class Api:
    asgi: ASGIApp
    end: Callable[[], None]


def make_api(
    context: Callable[[], Context], metrics: RequestMetrics, tokens: Tokens | None = None
) -> Api:
    """``context``: of now; it changes with the configuration."""
    ends = _Endpoints(context, metrics, tokens or Tokens(lambda: context().catalog.callers))
    routes = [
        ends.route("/releases", "start", ends.start, "POST"),
        ends.route("/releases/{release}", "show", ends.show, "GET"),
        ends.route("/releases/{release}/plan", "plan", ends.plan, "GET"),
        ends.route("/releases/{release}/events", "events", ends.events, "GET"),
        Route(f"{API}/openapi.json", _description),
    ]
    starlette = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    starlette.router.redirect_slashes = False

    def end() -> None:
        ends.is_ending = True

    return Api(starlette, end)


class ApiServer:
    """Serves beside the bot's other work. Raises OSError where the port cannot be had."""

    def __init__(
        self, context: Callable[[], Context], metrics: RequestMetrics, host: str, port: int
    ) -> None:
        self._api = make_api(context, metrics)
        self._socket = socket.create_server((host, port), reuse_port=False, backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._api.asgi,
                http=partial(BoundedConnection, Unfinished(metrics)),  # type: ignore[arg-type]
                ws="none",
                h11_max_incomplete_event_size=MAX_HEADERS,
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=5,
            )
        )
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Open requests end first."""
        self._api.end()
        self._server.should_exit = True
        self._thread.join(ENDS_WITHIN_S)
