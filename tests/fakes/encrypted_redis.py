"""TLS before a server of this machine, with a certificate of a private authority; and a Sentinel
that knows one service."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.cluster.network.certificates import context_of
from tests.faults.proxy import connected

SERVICE = "pilothouse"
_HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"


class _Quiet(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that trusts no certificate of ours leaves in the middle of a handshake."""


@contextmanager
def encrypted(port: int, certificate: bytes, key: bytes) -> Iterator[int]:
    """The port that speaks TLS for the server at ``port``."""
    context = context_of(certificate, key)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            client = context.wrap_socket(self.request, server_side=True)
            server = connected(port)
            if server is None:
                return
            back = threading.Thread(target=_relay, args=(server, client), daemon=True)
            back.start()
            _relay(client, server)

    with _serving(Relay) as bound:
        yield bound


@contextmanager
def sentinel_of(primary: int) -> Iterator[int]:
    """The port of a Sentinel whose one service has its primary at the port ``primary``."""
    state = ("name", SERVICE, "ip", "127.0.0.1", "port", str(primary), "flags", "master",
             "num-other-sentinels", "0")  # fmt: skip
    answer = b"*1\r\n" + _map(state)

    class Sentinel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (head := self.rfile.readline()).startswith(b"*"):
                words = [self._word() for _ in range(int(head[1:]))]
                replies = {b"SENTINEL": answer, b"HELLO": _HELLO}
                self.wfile.write(replies.get(words[0].upper(), b"+OK\r\n"))

        def _word(self) -> bytes:
            return self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2]

    with _serving(Sentinel) as bound:
        yield bound


@contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with _Quiet(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except (OSError, ssl.SSLError):
        return


def _map(words: tuple[str, ...]) -> bytes:
    parts = (f"${len(word)}\r\n{word}\r\n" for word in words)
    return f"%{len(words) // 2}\r\n{''.join(parts)}".encode()
