"""A proxy that spreads connections over several servers in turn, as a Service does over pods."""

from __future__ import annotations

import itertools
import socket
from collections import Counter
from collections.abc import Sequence

from tests.faults.proxy import Proxy, connected


class Turns(Proxy):
    """``with Turns(ports) as turns: turns.url``. Skips a server that is down. ``taken`` counts the
    connections by port."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(self._next)
        self._ports = itertools.cycle(ports)
        self._count = len(ports)
        self.taken: Counter[int] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _next(self) -> socket.socket | None:
        for port in itertools.islice(self._ports, self._count):
            server = connected(port)
            if server is not None:
                self.taken[port] += 1
                return server
        return None
