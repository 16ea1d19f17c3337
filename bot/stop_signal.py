"""SIGINT and SIGTERM as a flag that a process reads and waits for.

Python runs a signal handler between two instructions of the main thread, which may hold any lock at
that moment: a handler that takes one (as `threading.Event.set` does) can wait for itself for ever.
So the handler sets a plain flag, and a pipe ends the wait.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Calling it returns whether the process has been asked to stop."""

    def __init__(self) -> None:
        self._requested = False
        self._idle = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def on_signals(self, *numbers: signal.Signals) -> StopSignal:
        """SIGINT and SIGTERM unless others are given. Only the main thread may call this."""
        # The interpreter writes to the pipe before Python code runs: a signal that comes just
        # before `select` still ends it.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in numbers or STOPPING:
            signal.signal(number, self._handle)
        return self

    def request(self) -> None:
        """As a signal does; from any thread."""
        self._requested = True
        with contextlib.suppress(BlockingIOError):  # a full pipe ends the wait too
            os.write(self._writer, b"\0")

    def wait(self, seconds: float | None = None) -> bool:
        """Until a stop is requested or the time is over. Returns whether it was requested."""
        ends = None if seconds is None else time.monotonic() + seconds
        while not self._requested:
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                break
            if select.select([self._reader], [], [], left)[0]:
                os.read(self._reader, 512)
        return self._requested

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        """Around a blocking call that loses nothing when it is interrupted: a signal then ends the
        process at once."""
        self._idle = True
        try:
            if self._requested:
                raise SystemExit(0)
            yield
        finally:
            self._idle = False

    def __call__(self) -> bool:
        return self._requested

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
        if self._idle:
            raise SystemExit(0)
