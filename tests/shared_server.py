"""One HTTP server for each test process, and a path of its own for each test.

uvicorn takes a tenth of a second and more to end: a server for each test took most of those tests'
time.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.conftest import eventually

LONGEST_ANSWER_S = 30.0


class SharedServer:
    """An ASGI application that hands each request on to the one served under the first part of its
    path."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = itertools.count(1)
        self._apps: dict[str, ASGIApp] = {}
        self._answering: dict[str, int] = {}

    @contextlib.contextmanager
    def serving(self, app: ASGIApp) -> Iterator[str]:
        """Gives the URL of the application. Ends once it has answered all it was asked, so that no
        request of a test outlives it."""
        name = str(next(self._numbers))
        self._apps[name], self._answering[name] = app, 0
        try:
            yield f"{self.url}/{name}"
        finally:
            del self._apps[name]
            assert eventually(lambda: not self._answering[name], within_s=LONGEST_ANSWER_S), (
                "a request is still being answered"
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, name, path = scope["path"].split("/", 2)
        app = self._apps.get(name)
        if app is None:  # of a test that is over
            await PlainTextResponse("nobody is here any more", status_code=404)(
                scope, receive, send
            )
            return
        self._answering[name] += 1
        try:
            await app({**scope, "path": f"/{path}", "raw_path": f"/{path}".encode()}, receive, send)
        finally:
            self._answering[name] -= 1


@pytest.fixture(scope="session")
def shared_server() -> Iterator[SharedServer]:
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio leaves Nagle's delay on
    listener.bind(("127.0.0.1", 0))
    shared = SharedServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = uvicorn.Server(
        uvicorn.Config(shared, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert eventually(lambda: server.started, within_s=30), "the server did not start"
    yield shared
    server.should_exit = True
    thread.join(10)
    listener.close()
