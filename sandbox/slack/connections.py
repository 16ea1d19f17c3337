"""Cuts a connection before its reply, so that the app cannot know whether its call took effect."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_CONNECTIONS: WeakValueDictionary[tuple[str, int], TrackedProtocol]


class TrackedProtocol(H11Protocol):
    """uvicorn's HTTP protocol, looked up by the client's address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None:
            _CONNECTIONS[self.client] = self


_CONNECTIONS = WeakValueDictionary()


def cut_connection(request: Request) -> None:
    """The client sees its connection closed without an answer."""
    if request.client is None:
        return
    protocol = _CONNECTIONS.get((request.client.host, request.client.port))
    if protocol is not None:
        protocol.transport.abort()
