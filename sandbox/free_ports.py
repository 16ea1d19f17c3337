"""Ports of 127.0.0.1 for servers that cannot choose their own. Finds ports; does not serve on
them."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Free a moment ago: another process may take it first, so callers should retry if they can."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """All different."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in listening]
    finally:
        for one in listening:
            one.close()
