"""What a stranger's connection may cost: few bytes of headers, a deadline for each request, and a
limit on how many are open."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.slack.request_metrics import RequestMetrics

MAX_CONNECTIONS = 256
MAX_HEADERS = 16_384
"""Bytes; Slack's and a proxy's headers are about 2 KB."""
RECEIVE_SECONDS = 5.0
"""From the first byte (or the connection) to the end of the body. Longer than the deadline of a
body, so that its sender still gets an answer."""


class Unfinished:
    """The connections that have a request to deliver, the oldest first."""

    def __init__(
        self,
        metrics: RequestMetrics,
        *,
        most: int = MAX_CONNECTIONS,
        within_s: float = RECEIVE_SECONDS,
    ) -> None:
        self.metrics = metrics
        self.most = most
        self._within_s = within_s
        self._timers: dict[BoundedConnection, asyncio.TimerHandle] = {}

    def begin(self, connection: BoundedConnection) -> None:
        if connection not in self._timers:
            self._timers[connection] = connection.loop.call_later(
                self._within_s, self.drop, connection, "too_slow"
            )

    def end(self, connection: BoundedConnection) -> None:
        timer = self._timers.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def drop(self, connection: BoundedConnection, reason: str) -> None:
        self.end(connection)
        self.metrics.reject(reason)
        connection.transport.abort()

    def make_room(self) -> None:
        """Drops the oldest: Slack's requests arrive within milliseconds."""
        oldest = next(iter(self._timers), None)
        if oldest is not None:
            self.drop(oldest, "too_many")


class BoundedConnection(H11Protocol):
    """uvicorn has no deadline for headers or bodies, and refuses new connections at its limit."""

    def __init__(self, unfinished: Unfinished, **options: Any) -> None:
        super().__init__(**options)
        self._unfinished = unfinished

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._unfinished.most:
            self._unfinished.make_room()
        self._unfinished.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unfinished.end(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unfinished.begin(self)
        super().data_received(data)
        self._end_if_whole()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._awaits_more():
            self._unfinished.begin(self)

    def _end_if_whole(self) -> None:
        if not self._awaits_more():
            self._unfinished.end(self)

    def _awaits_more(self) -> bool:
        """Part of a request has arrived, and the rest has not."""
        state = self.conn.their_state
        return state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))

    def send_400_response(self, msg: str) -> None:
        self._unfinished.metrics.reject("malformed_http")
        if self.cycle is not None:
            self.cycle.disconnected = True  # the body turned out malformed; one answer is enough
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # a response has begun already
            self.transport.abort()
