"""Who runs next: every simulated process is a coroutine that gives the baton back at each call of a
port, and the seed decides how long that call takes.

No thread runs, and no clock passes but this one. A process that is killed is never resumed: like
after ``kill -9`` nothing of it runs any more, its ``finally`` neither.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from greenlet import getcurrent, greenlet

from bot.runtime import MOST_TOGETHER

STEP_MS = 5
"""How often a process looks whether what it waits for has ended."""


class Stopped(BaseException):
    """Raised in a process that must not go on: it was killed, or the simulation is over."""


@dataclass(eq=False)
class Process:
    """An operating-system process, with the threads that it started."""

    name: str
    is_alive: bool = True
    threads: list[greenlet] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class _Waiting:
    process: Process
    thread: greenlet
    waits: int  # which of the thread's waits this is: one that ended early leaves a stale entry


class Scheduler:
    """``now`` is in milliseconds; it moves only when nobody can run sooner."""

    def __init__(self, chance: random.Random, now: int) -> None:
        self.chance, self.now = chance, now
        self.is_over = False
        self.crashed: Callable[[str, Exception], None] = lambda _name, _error: None
        self._entries: list[tuple[int, float, int, _Waiting]] = []
        self._made = 0
        self._of_thread: dict[greenlet, Process] = {}
        self._waits: dict[greenlet, int] = {}
        self._signals: dict[str, list[_Waiting]] = {}
        self._hub = getcurrent()
        self._until = now  # of the run that is on
        self._is_done: Callable[[], bool] = lambda: False

    # --- processes --------------------------------------------------------------------------------

    def spawn(self, name: str, work: Callable[[], None], *, after_ms: int = 0) -> Process:
        process = Process(name)
        self._add(process, work, after_ms)
        return process

    def _add(self, process: Process, work: Callable[[], None], after_ms: int = 0) -> None:
        thread = greenlet(partial(self._live, process, work), self._hub)
        process.threads.append(thread)
        self._of_thread[thread] = process
        self._plan(_Waiting(process, thread, self._count(thread)), after_ms)

    def _live(self, process: Process, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except Exception as error:  # judged
            process.is_alive = False
            self.crashed(process.name, error)

    def kill(self, process: Process) -> None:
        """As ``kill -9``."""
        process.is_alive = False

    @property
    def current(self) -> Process | None:
        """None: the simulation itself runs, not a simulated process."""
        return self._of_thread.get(getcurrent())

    # --- waiting ----------------------------------------------------------------------------------

    def pause(self, for_ms: int) -> None:
        """The caller's process goes on when that time has passed; others run meanwhile."""
        process = self._running()
        thread = getcurrent()
        waiting = _Waiting(process, thread, self._count(thread))
        entry, entries = self._entry(waiting, for_ms), self._entries
        is_next = not entries or entry < entries[0]
        if is_next and entry[0] <= self._until and not self._is_done():
            self.now = entry[0]  # as if it had been given back
            return
        heapq.heappush(entries, entry)
        self._give_back(process)

    def wait_for(self, signal: str, at_most_ms: int) -> None:
        """Until ``raise_signal`` or that time."""
        process = self._running()
        thread = getcurrent()
        waiting = _Waiting(process, thread, self._count(thread))
        self._signals.setdefault(signal, []).append(waiting)
        self._plan(waiting, at_most_ms)
        self._give_back(process)

    def raise_signal(self, signal: str) -> None:
        for waiting in self._signals.pop(signal, ()):
            self._plan(waiting, 0)

    def _running(self) -> Process:
        process = self.current
        if process is None:
            raise RuntimeError("the simulation itself never waits")
        if self.is_over or not process.is_alive:
            raise Stopped
        return process

    def _give_back(self, process: Process) -> None:
        self._hub.switch()
        if self.is_over or not process.is_alive:
            raise Stopped

    def _count(self, thread: greenlet) -> int:
        self._waits[thread] = self._waits.get(thread, 0) + 1
        return self._waits[thread]

    def _plan(self, waiting: _Waiting, after_ms: int) -> None:
        heapq.heappush(self._entries, self._entry(waiting, after_ms))

    def _entry(self, waiting: _Waiting, after_ms: int) -> tuple[int, float, int, _Waiting]:
        self._made += 1
        return self.now + max(0, after_ms), self.chance.random(), self._made, waiting

    # --- running ----------------------------------------------------------------------------------

    def run(self, until: int, is_done: Callable[[], bool] = lambda: False) -> None:
        """Until that time, or until ``is_done``."""
        self._until, self._is_done = until, is_done
        while self._entries and self._entries[0][0] <= until and not is_done():
            at, _, _, waiting = heapq.heappop(self._entries)
            self.now = max(self.now, at)
            thread = waiting.thread
            if not waiting.process.is_alive or self._waits[thread] != waiting.waits or thread.dead:
                continue
            thread.switch()
        if not is_done():
            self.now = max(self.now, until)

    def end(self) -> None:
        """Nothing runs from here on: what Python clears away of a process reaches no port."""
        self.is_over = True
        self._entries.clear()


@contextmanager
def ending(scheduler: Scheduler) -> Iterator[Scheduler]:
    try:
        yield scheduler
    finally:
        scheduler.end()


class SimulatedRuntime:
    """See bot.ports.Runtime."""

    def __init__(self, scheduler: Scheduler, names: random.Random) -> None:
        self._scheduler, self._names = scheduler, names

    def monotonic(self) -> float:
        return self._scheduler.now / 1000

    def new_id(self) -> str:
        return f"{self._names.getrandbits(128):032x}"

    def start(self, work: Callable[[], None]) -> Future[None]:
        started: Future[None] = Future()

        def run() -> None:
            try:
                work()
            except Exception as error:  # reported
                started.set_exception(error)
            else:
                started.set_result(None)

        process = self._scheduler.current
        if process is None:
            run()
        else:
            self._scheduler._add(process, run)
        return started

    def wait(self, started: Collection[Future[None]], seconds: float) -> frozenset[Future[None]]:
        ends = self._scheduler.now + round(seconds * 1000)
        while not all(one.done() for one in started) and self._scheduler.now < ends:
            self._scheduler.pause(STEP_MS)
        return frozenset(one for one in started if one.done())

    def run_together(self, works: Sequence[Callable[[], None]]) -> None:
        started: list[Future[None]] = []
        for work in works:
            while sum(not one.done() for one in started) >= MOST_TOGETHER:
                self._scheduler.pause(STEP_MS)
            started.append(self.start(work))
        while not all(one.done() for one in started):
            self._scheduler.pause(STEP_MS)
        for one in started:
            one.result()
