"""A server that speaks the Redis protocol and answers every command with one error."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AT_THE_DOOR = (b"-DENIED", b"-NOAUTH", b"-WRONGPASS")
"""A client that gets one of these cannot even say hello."""
_HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"


class _Refusing(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        answer: bytes = self.server.answer  # type: ignore[attr-defined]
        while (head := self.rfile.readline()).startswith(b"*"):
            words = [self._word() for _ in range(int(head[1:]))]
            greets = words[0].upper() == b"HELLO" and not answer.startswith(_AT_THE_DOOR)
            sets_up = words[0].upper() == b"CLIENT" and words[1].upper().startswith(b"SET")
            self.wfile.write(_HELLO if greets else b"+OK\r\n" if sets_up else answer)

    def _word(self) -> bytes:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2]


@contextmanager
def refusing_redis(error: str) -> Iterator[int]:
    """Its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        server.daemon_threads = True
        server.answer = f"-{error}\r\n".encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
