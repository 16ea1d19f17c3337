"""Forwards a port of this machine's loopback into the network of another process:
`python -I forward.py PID PORT HOST:PORT`.

The listening socket is made here and stays here; the process then moves into the other network,
where it connects.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

NEW_NETWORK = 0x40000000  # CLONE_NEWNET; os.setns comes with Python 3.12


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, RuntimeError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _forward(listening: socket.socket, host: str, port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            inner_writer.close()
        writer.close()

    server = await asyncio.start_server(serve, sock=listening)
    await server.serve_forever()


def _enter_network_of(pid: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open() as network:
        if libc.setns(network.fileno(), NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    _, owner, own_port, target = sys.argv
    host, _, target_port = target.rpartition(":")
    own = socket.create_server(("127.0.0.1", int(own_port)))
    _enter_network_of(owner)
    asyncio.run(_forward(own, host, int(target_port)))
