"""The Runtime port of a real process: its clock, names at random, and threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from uuid import uuid4

MOST_TOGETHER = 16


def new_id() -> str:
    return uuid4().hex


class SystemRuntime:
    """See bot.ports.Runtime."""

    def monotonic(self) -> float:
        return time.monotonic()

    def new_id(self) -> str:
        return new_id()

    def start(self, work: Callable[[], None]) -> Future[None]:
        pool = ThreadPoolExecutor(1, thread_name_prefix="beside")
        started = pool.submit(copy_context().run, work)
        pool.shutdown(wait=False)
        return started

    def wait(self, started: Collection[Future[None]], seconds: float) -> frozenset[Future[None]]:
        return frozenset(wait(started, seconds).done)

    def run_together(self, works: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(min(len(works), MOST_TOGETHER), thread_name_prefix="ask") as pool:
            started = [pool.submit(copy_context().run, work) for work in works]
        for one in started:
            one.result()
