"""While a world runs, nothing of the product may reach time, chance, new names or threads but
through the ports: it would make the trace another one in the next process."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

PRODUCT = ("bot.", "jobs.")
WATCHED: tuple[tuple[Any, str], ...] = (
    (time, "time"),
    (time, "time_ns"),
    (time, "monotonic"),
    (time, "monotonic_ns"),
    (time, "perf_counter"),
    (time, "sleep"),
    (os, "urandom"),
    (random, "random"),
    (random, "randrange"),
    (random, "choice"),
    (threading.Thread, "start"),
)
BETWEEN = 4
"""Frames of the standard library between the product and what it reaches: ``uuid4`` and
``ThreadPoolExecutor.submit`` are some calls away."""


class PastThePorts(Exception):
    """The product reached what a port gives it."""


@contextmanager
def nothing_past_the_ports() -> Iterator[None]:
    with ExitStack() as stack:
        for place, name in WATCHED:
            stack.enter_context(_watched(place, name))
        yield


@contextmanager
def _watched(place: Any, name: str) -> Iterator[None]:
    real: Callable[..., Any] = getattr(place, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        caller = _product()
        if caller:
            raise PastThePorts(f"{caller} calls {name}")
        return real(*args, **kwargs)

    setattr(place, name, watched)
    try:
        yield
    finally:
        setattr(place, name, real)


def _product() -> str:
    """The product's module that asks, "" where the test or a library asks for itself."""
    frame = sys._getframe(2)
    for _ in range(BETWEEN):
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(PRODUCT):
            return module
        of = module.partition(".")[0]
        if frame.f_back is None or of == "logging" or of not in sys.stdlib_module_names:
            return ""
        frame = frame.f_back
    return ""
