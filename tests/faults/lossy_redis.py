"""A proxy before Redis that loses replies: the command has taken effect, and whoever sent it is not
told."""

from __future__ import annotations

import threading
from functools import partial
from types import TracebackType

from tests.faults.proxy import Proxy, connected


class LossyRedis:
    """``with LossyRedis(port) as proxy: proxy.url``. ``lose(n)``: the next n replies are dropped
    with their connections."""

    def __init__(self, port: int) -> None:
        self._proxy = Proxy(partial(connected, port), lambda: not self._loses())
        self._to_lose = 0
        self._lock = threading.Lock()
        self.lost = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._proxy.port}/0"

    def lose(self, replies: int) -> None:
        with self._lock:
            self._to_lose += replies

    def __enter__(self) -> LossyRedis:
        self._proxy.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._proxy.__exit__(kind, error, trace)

    def _loses(self) -> bool:
        with self._lock:
            if self._to_lose <= 0:
                return False
            self._to_lose -= 1
            self.lost += 1
            return True
