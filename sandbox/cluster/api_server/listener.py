"""The listening socket: uvicorn's protocol on our own loop; it can cut connections and be
unreachable for a while."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


class _Protocol(H11Protocol):
    """Passes the transport to the application, so that a fault can cut the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class Listener:
    """Serves one ASGI application on one loopback port, the same across outages."""

    def __init__(self, app: Any, host: str, port: int, certificates: ssl.SSLContext | None) -> None:
        self._host = host
        self._certificates = certificates
        self._config = uvicorn.Config(
            app,
            host=host,
            port=port,
            lifespan="off",
            access_log=False,
            log_level="error",
            ws="none",
            timeout_keep_alive=75,
            http=_Protocol,
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._reopening: asyncio.TimerHandle | None = None
        self.port = port

    async def open(self) -> None:
        if not self._config.loaded:
            self._config.load()
        loop = asyncio.get_running_loop()

        def make() -> asyncio.Protocol:
            return _Protocol(
                config=self._config, server_state=self._state, app_state={}, _loop=loop
            )

        self._server = await loop.create_server(
            make, self._host, self.port, ssl=self._certificates, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def cut_all(self) -> None:
        """Resets every connection."""
        for connection in list(self._state.connections):
            connection.transport.abort()

    def go_away(self, seconds: float) -> None:
        """Refuses connections for a time, and cuts the existing ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut_all()
        if self._reopening is not None:
            self._reopening.cancel()
        loop = asyncio.get_running_loop()
        self._reopening = loop.call_later(seconds, lambda: loop.create_task(self.come_back()))

    async def come_back(self) -> None:
        if self._server is None:
            await self.open()

    async def close(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
        if self._server is not None:
            self._server.close()
        self.cut_all()
        await asyncio.sleep(0)
