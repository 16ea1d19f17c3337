"""A proxy before Redis that loses replies: the command takes effect, unknown to its sender."""

from __future__ import annotations

import threading
from functools import partial

from tests.faults.proxy import Proxy, connected


class LossyRedis(Proxy):
    """``with LossyRedis(port) as proxy: proxy.url``. ``lose(n)``: the next n replies are dropped
    with their connections."""

    def __init__(self, port: int) -> None:
        super().__init__(partial(connected, port), lambda: not self._loses())
        self._to_lose = 0
        self._lock = threading.Lock()
        self.lost = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lose(self, replies: int) -> None:
        with self._lock:
            self._to_lose += replies

    def _loses(self) -> bool:
        with self._lock:
            if self._to_lose <= 0:
                return False
            self._to_lose -= 1
            self.lost += 1
            return True
