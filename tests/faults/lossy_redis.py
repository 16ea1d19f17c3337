"""A proxy before Redis that loses replies: the command has taken effect, and whoever sent it is not told."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

MOST_BYTES = 65_536


class LossyRedis:
    """``with LossyRedis(port) as proxy: proxy.url``. ``lose(n)``: the next n replies are dropped with their connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.socket()
        self._to_lose = 0
        self._lock = threading.Lock()
        self.lost = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def lose(self, replies: int) -> None:
        with self._lock:
            self._to_lose += replies

    def __enter__(self) -> LossyRedis:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        threading.Thread(target=self._accept, name="lossy redis", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._port), timeout=2)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for source, sink, replies in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, replies), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(MOST_BYTES):
                if replies and self._loses():
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if replies:
            sink.close()
            source.close()

    def _loses(self) -> bool:
        with self._lock:
            if self._to_lose <= 0:
                return False
            self._to_lose -= 1
            self.lost += 1
            return True
