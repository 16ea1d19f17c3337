"""Ports of 127.0.0.1 for servers that cannot choose their own. Finds ports; does not serve on
them."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

OURS = range(20_000, 30_000)
"""Below those that Linux gives to a socket that asks for any, and below NodePorts. A port of the
former may be taken again before a new process has started and serves on it."""
_GIVEN_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_MOST_TRIES = 100


def free_port() -> int:
    """Free a moment ago: another process may take it first, so callers should retry if they can."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """All different."""
    candidates = _candidates()
    with ExitStack() as listening:
        servers = [listening.enter_context(closing(_listen(candidates))) for _ in range(count)]
        return [int(server.getsockname()[1]) for server in servers]


def _listen(candidates: Iterator[int]) -> socket.socket:
    while True:
        port = next(candidates)
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            if not port:
                raise


def _candidates() -> Iterator[int]:
    """At last 0, which asks for any."""
    ours = random.SystemRandom().sample(OURS, _MOST_TRIES) if _are_ours() else ()
    return itertools.chain(ours, itertools.repeat(0))


def _are_ours() -> bool:
    try:
        return int(_GIVEN_OUT.read_text().split()[0]) >= OURS.stop
    except (OSError, ValueError):
        return False
