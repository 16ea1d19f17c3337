"""A local Slack without rate limits, and a small real Bolt app served over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from slack_bolt import App
from slack_bolt.adapter.starlette import SlackRequestHandler
from slack_sdk import WebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.slack import LocalSlack

Serve = Callable[[Callable[[Request], Any]], str]


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with LocalSlack(rate_scale=0, event_retry_seconds=(0.0, 0.0, 0.0)) as running:
        yield running


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    """Without the SDK's own retries, so that a test sees each answer."""
    return WebClient(token="xoxb-local", base_url=slack.api_url, retry_handlers=[])


@contextmanager
def served(endpoint: Callable[[Request], Any]) -> Iterator[str]:
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio leaves Nagle's delay on
    listener.bind(("127.0.0.1", 0))
    routes = [Route("/slack/events", endpoint, methods=["POST"])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 5.0
    while not server.started:
        assert time.monotonic() < deadline, "the app did not start"
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/slack/events"
    finally:
        server.should_exit = True
        thread.join(timeout=5.0)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an endpoint as the app's request URL until the test ends."""
    running: list[Any] = []

    def start(endpoint: Callable[[Request], Any]) -> str:
        context = served(endpoint)
        url = context.__enter__()
        running.append(context)
        return url

    yield start
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
def app(slack: LocalSlack, client: WebClient, serve: Serve) -> App:
    """A Bolt app without listeners, connected over signed HTTP."""
    bolt = App(client=client, signing_secret="local-signing-secret", process_before_response=True)
    handler = SlackRequestHandler(bolt)

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    assert slack.connect(serve(endpoint), verify=True)["verified"]
    return bolt
