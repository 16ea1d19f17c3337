"""A local Slack without rate limits, and a small real Bolt app served over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.starlette import SlackRequestHandler
from slack_sdk import WebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.slack import LocalSlack
from tests.shared_server import SharedServer

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
def served(shared_server: SharedServer, endpoint: Callable[[Request], Any]) -> Iterator[str]:
    """Gives the request URL."""
    with shared_server.serving(
        Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])
    ) as url:
        yield f"{url}/slack/events"


@pytest.fixture
def serve(shared_server: SharedServer) -> Iterator[Serve]:
    """Serves an endpoint as the app's request URL until the test ends."""
    with ExitStack() as running:
        yield lambda endpoint: running.enter_context(served(shared_server, endpoint))


@pytest.fixture
def app(slack: LocalSlack, client: WebClient, serve: Serve) -> App:
    """A Bolt app without listeners, connected over signed HTTP."""
    bolt = App(client=client, signing_secret="local-signing-secret", process_before_response=True)
    handler = SlackRequestHandler(bolt)

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    assert slack.connect(serve(endpoint), verify=True)["verified"]
    return bolt
