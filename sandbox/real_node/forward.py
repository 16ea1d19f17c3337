"""Forwards a port between this machine's loopback and the network of another process:
`python -I forward.py in|out PID HOST:PORT HOST:PORT [CERTIFICATE KEY]`; what connects to the first
is connected to the second. `in` listens on this machine and connects in there, `out` the other way
round. With a certificate, what connects speaks TLS.

The socket that listens is made in the one network and stays there; the process then stays in the
other one, where it connects.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

NEW_NETWORK = 0x40000000  # CLONE_NEWNET; os.setns comes with Python 3.12


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, RuntimeError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _forward(
    listening: socket.socket, host: str, port: int, tls: ssl.SSLContext | None
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            inner_writer.close()
        writer.close()

    server = await asyncio.start_server(serve, sock=listening, ssl=tls)
    await server.serve_forever()


def _enter(network: TextIO) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(network.fileno(), NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(direction: str, owner: str, listen: str, connect: str, *certificate: str) -> None:
    own_host, _, own_port = listen.rpartition(":")
    host, _, port = connect.rpartition(":")
    with Path("/proc/self/ns/net").open() as here, Path(f"/proc/{owner}/ns/net").open() as there:
        if direction == "out":
            _enter(there)
        listening = socket.create_server((own_host, int(own_port)))
        _enter(here if direction == "out" else there)
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*certificate)
    print("listening", flush=True)
    asyncio.run(_forward(listening, host, int(port), tls))


if __name__ == "__main__":
    main(*sys.argv[1:])
