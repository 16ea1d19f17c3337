"""What the product may not reach while a world runs."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from uuid import uuid4

import pytest

from tests.simulation.past_the_ports import PastThePorts, nothing_past_the_ports


def as_the_product(call: Callable[[], object]) -> Callable[[], object]:
    """The same function, in a module of the product."""
    assert isinstance(call, FunctionType)
    return FunctionType(call.__code__, {**call.__globals__, "__name__": "bot.operations.some"})


@pytest.mark.parametrize(
    "call",
    [
        lambda: time.time(),
        lambda: time.monotonic(),
        lambda: time.sleep(0),
        lambda: uuid4(),
        lambda: random.random(),
        lambda: threading.Thread(target=print).start(),
        lambda: ThreadPoolExecutor(1).submit(print),
    ],
    ids=["time", "monotonic", "sleep", "uuid", "random", "thread", "pool"],
)
def test_the_product_reaches_none_of_them(call: Callable[[], object]) -> None:
    with nothing_past_the_ports(), pytest.raises(PastThePorts):
        as_the_product(call)()


def test_others_reach_them_and_afterwards_the_product_too() -> None:
    with nothing_past_the_ports():
        assert time.time() > 0 and uuid4().hex
    assert as_the_product(lambda: time.time())()
