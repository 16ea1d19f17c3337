"""The queue shared by all controllers: deduplicates keys and runs them on the loop after the change
that woke them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable

from sandbox.cluster.api_server.failures import ApiFailure

_log = logging.getLogger(__name__)
_BATCH = 12  # work items per iteration of the loop, so that requests are served in between


class WorkQueue:
    """Runs `handler(key)` for each added key; logs an error and retries the key after a delay."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float = 0.0) -> None:
        self._loop = loop
        self._delay = delay
        self._handlers: dict[str, Callable[..., None]] = {}
        self._ready: deque[tuple[str, Hashable]] = deque()
        self._queued: set[tuple[str, Hashable]] = set()
        self._timers: dict[tuple[str, Hashable], asyncio.TimerHandle] = {}
        self._failures: dict[tuple[str, Hashable], int] = {}
        self._scheduled = False
        self._closed = False

    def handle(self, name: str, handler: Callable[..., None]) -> None:
        self._handlers[name] = handler

    def add(self, name: str, key: Hashable) -> None:
        item = (name, key)
        if item in self._queued or self._closed:
            return
        self._queued.add(item)
        self._ready.append(item)
        if not self._scheduled:
            self._scheduled = True
            if self._delay:
                self._loop.call_later(self._delay, self._run)
            else:
                self._loop.call_soon(self._run)

    def add_after(self, name: str, key: Hashable, seconds: float) -> None:
        """Adds the key later; the earliest time wins."""
        item = (name, key)
        when = self._loop.time() + max(0.0, seconds)
        present = self._timers.get(item)
        if present is not None:
            if present.when() <= when:
                return
            present.cancel()
        if not self._closed:
            self._timers[item] = self._loop.call_at(when, self._fire, item)

    def _fire(self, item: tuple[str, Hashable]) -> None:
        self._timers.pop(item, None)
        self.add(*item)

    def _run(self) -> None:
        self._scheduled = False
        for _ in range(min(_BATCH, len(self._ready))):
            item = self._ready.popleft()
            self._queued.discard(item)
            try:
                self._handlers[item[0]](item[1])
            except Retry:
                self._try_again(item)
            # refused by the API server: quota, a terminating namespace, a lost race
            except ApiFailure as failure:
                _log.info("controller %s on %s: %s", *item, failure.message)
                self._try_again(item)
            except (
                ArithmeticError,
                AssertionError,
                LookupError,
                TypeError,
                ValueError,
                RuntimeError,
            ):
                # One object that a controller cannot handle must not stop the cluster.
                _log.exception("controller %s failed on %s", *item)
                self._try_again(item)
            else:
                self._failures.pop(item, None)
        if self._ready and not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _try_again(self, item: tuple[str, Hashable]) -> None:
        count = self._failures[item] = self._failures.get(item, 0) + 1
        self.add_after(*item, seconds=min(5.0, 0.01 * 2 ** min(count, 10)))

    def close(self) -> None:
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()


class Retry(Exception):
    """Raised by a handler to run again, with a growing delay."""
