"""A stop request: heard at every instruction, and never at the price of a deadlock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from bot.stop_signal import STOPPING, StopSignal


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


SIGNAL_AT_EVERY_LINE = """
import signal, sys, threading
from bot.stop_signal import StopSignal

if sys.argv[1] == "event":
    event = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: event.set())
    wait, module = event.wait, threading.__file__
else:
    stop = StopSignal().on_signals()
    wait, module = stop.wait, sys.modules["bot.stop_signal"].__file__

def at_every_line(frame, event, argument):
    if event == "line" and frame.f_code.co_filename == module:
        signal.raise_signal(signal.SIGTERM)
    return at_every_line

sys.settrace(at_every_line)
assert wait(30)
"""


def a_signal_at_every_line(of: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SIGNAL_AT_EVERY_LINE, of])


def test_a_signal_at_any_line_of_the_wait_ends_it() -> None:
    process = a_signal_at_every_line("stop signal")
    try:
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_an_event_set_by_a_handler_waits_for_itself() -> None:
    """The hang that the plain flag avoids: without it the test above would prove nothing."""
    process = a_signal_at_every_line("event")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
    finally:
        process.kill()
        process.wait()


def test_a_signal_ends_a_wait_without_a_time_limit() -> None:
    stop = StopSignal().on_signals()
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert stop.wait()
    assert stop()


def test_a_wait_ends_when_its_time_is_over() -> None:
    stop = StopSignal().on_signals()
    began = time.monotonic()
    assert not stop.wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_a_request_from_another_thread_ends_the_wait() -> None:
    stop = StopSignal()
    threading.Timer(0.05, stop.request).start()
    assert stop.wait(30)


def test_a_signal_ends_an_idle_process_at_once() -> None:
    stop = StopSignal().on_signals()
    with pytest.raises(SystemExit), stop.idle():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit), stop.idle():
        pytest.fail("a requested stop comes before the blocking call")


def test_signals_beyond_the_size_of_the_pipe_are_harmless() -> None:
    stop = StopSignal()
    for _ in range(70_000):
        stop.request()
    assert stop.wait(30)
