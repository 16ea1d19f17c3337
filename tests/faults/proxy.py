"""A proxy between a client and a server of this machine, for faults of their connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

MOST_BYTES = 65_536
CONNECT_WITHIN_S = 2.0


class Proxy:
    """``with Proxy(server, keeps_reply) as proxy: proxy.port``. ``server`` opens the other end of a
    new connection, None where nothing answers; a reply that ``keeps_reply`` does not keep is
    dropped, and its connection cut."""

    def __init__(
        self,
        server: Callable[[], socket.socket | None],
        keeps_reply: Callable[[], bool] = lambda: True,
    ) -> None:
        self._server = server
        self._keeps_reply = keeps_reply
        self._listener = socket.socket()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(256)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._server()
            if server is None:
                client.close()
                continue
            for source, sink, keeps in (
                (client, server, lambda: True),
                (server, client, self._keeps_reply),
            ):
                threading.Thread(target=_pump, args=(source, sink, keeps), daemon=True).start()


def connected(port: int) -> socket.socket | None:
    """None where nothing listens."""
    try:
        server = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_WITHIN_S)
    except OSError:
        return None
    server.settimeout(None)
    return server


def _pump(source: socket.socket, sink: socket.socket, keeps: Callable[[], bool]) -> None:
    """Runs until either end closes. Both are then shut, which ends the pump of the other direction;
    a socket is closed with its last reference, never under a thread that still reads it."""
    with contextlib.suppress(OSError):
        while data := source.recv(MOST_BYTES):
            if not keeps():
                break
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
