"""Keeps a set of child processes alive: forks them, restarts those that die, ends them all in time.

The parent stays small on purpose: one thread, no connection, so that a fork at any time is safe and
finds everything imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import mmap
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

# a job's time-out is 8 s; after this a second SIGTERM makes RQ end the job, then comes SIGKILL
END_WITHIN_S = 8.5
FORCE_WITHIN_S = 0.7
LIVED_WELL_S = 10.0
LONGEST_BACKOFF_S = 10.0
_SLOT = struct.Struct(
    "=dqqd"
)  # last beat (monotonic seconds), process id, restarts, last work (monotonic seconds)
_CONFIGURATION = struct.Struct("=d?7x")  # loaded at (seconds since 1970), refused
_MOST_CHILDREN = 512


@dataclass(frozen=True)
class Pulse:
    """What is known of one child: ``pid`` 0 while it is down."""

    name: str
    last_beat: float
    pid: int
    restarts: int
    last_work: float


class Board:
    """Memory shared between the parent and all children: which live, when each last gave a sign,
    and whether the newest configuration is in force."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._slots: dict[str, int] = {}
        self._memory = mmap.mmap(-1, _CONFIGURATION.size + _SLOT.size * _MOST_CHILDREN)
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Before its process is forked. A child knows the names of its fork."""
        if name not in self._slots:
            used = set(self._slots.values())
            self._slots[name] = next(n for n in range(_MOST_CHILDREN) if n not in used)
            _SLOT.pack_into(self._memory, self._slot(name), 0.0, 0, 0, 0.0)

    def remove(self, name: str) -> None:
        """After its process has ended."""
        del self._slots[name]

    def beat(self, name: str) -> None:
        struct.pack_into("=d", self._memory, self._slot(name), time.monotonic())

    def note_work(self, name: str) -> None:
        """It has come to what it is there for: if it dies now, that is no failed start."""
        struct.pack_into("=d", self._memory, self._slot(name) + 24, time.monotonic())

    def note(self, name: str, *, pid: int, restarts: int) -> None:
        struct.pack_into("=qq", self._memory, self._slot(name) + 8, pid, restarts)

    def note_configuration(self, *, loaded_at: float, is_refused: bool) -> None:
        _CONFIGURATION.pack_into(self._memory, 0, loaded_at, is_refused)

    def read_configuration(self) -> tuple[float, bool]:
        """When what is in force was loaded, in seconds since 1970, and whether what its files hold
        by now is refused."""
        loaded_at, is_refused = _CONFIGURATION.unpack_from(self._memory, 0)
        return loaded_at, is_refused

    def _slot(self, name: str) -> int:
        return _CONFIGURATION.size + self._slots[name] * _SLOT.size

    def read(self) -> tuple[Pulse, ...]:
        return tuple(
            Pulse(name, *_SLOT.unpack_from(self._memory, self._slot(name))) for name in self._slots
        )


@dataclass(frozen=True)
class WorkerRole:
    """``run`` is the child's whole life; ``recover`` runs first in a child that replaces one that
    died, and not one that just ended. ``given``: what the child works with; while that is the same
    it is not replaced."""

    name: str
    run: Callable[[], None]
    recover: Callable[[], None] = lambda: None
    given: object = field(default_factory=object)


@dataclass
class _Child:
    role: WorkerRole
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    quick_deaths: int = 0
    died: bool = False
    leaving_since: float = 0.0  # asked to end: another takes its place, or none
    is_wanted: bool = True
    start_at: float = field(default=0.0)


Renew = Callable[[], Sequence[WorkerRole] | None]
"""The roles from now on; None while they stay. Must be quick, and open no connection."""


class Supervisor:
    """``run`` returns when a signal asked for the end and every child is gone. ``renew`` is asked
    every ``renew_every_s``; each child whose role changes ends its work first."""

    def __init__(
        self,
        roles: Sequence[WorkerRole],
        board: Board,
        renew: Renew | None = None,
        *,
        renew_every_s: float = 1.0,
    ) -> None:
        self._children = [_Child(role) for role in roles]
        for role in roles:
            board.add(role.name)
        self._board = board
        self._renew, self._renew_every_s = renew, renew_every_s
        self._renew_at = time.monotonic() + renew_every_s
        self._renewal_began: float | None = None
        self._ending = False

    def run(self) -> int:
        _prctl(
            36,
            1,
            # PR_SET_CHILD_SUBREAPER: the job of a killed worker becomes our child, and is collected
            # when it ends
        )
        gc.collect()
        # what is imported stays shared with the children instead of being copied by their collector
        gc.freeze()
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._record_signal)
        try:
            while not self._ending:
                self._start_missing((reader, writer))
                select.select([reader], [], [], self._until_next_act())
                _drain(reader)
                self._collect()
                self._renew_roles()
            self._end_all(reader)
        finally:
            signal.set_wakeup_fd(before)
            os.close(reader)
            os.close(writer)
        return 0

    def _record_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._ending = True

    def _start_missing(self, pipe: tuple[int, int]) -> None:
        for child in self._children:
            if not child.pid and time.monotonic() >= child.start_at and not self._ending:
                self._start(child, pipe)
        self._report_renewal()

    def _until_next_act(self) -> float | None:
        moments = [child.start_at for child in self._children if not child.pid]
        moments += [self._renew_at] if self._renew else []
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _renew_roles(self) -> None:
        if self._renew is None or self._ending or time.monotonic() < self._renew_at:
            return
        self._end_those_that_stay()
        roles = self._renew()
        if roles is not None:
            self._take_roles({role.name: role for role in roles})
        self._renew_at = time.monotonic() + self._renew_every_s

    def _end_those_that_stay(self) -> None:
        late = time.monotonic() - END_WITHIN_S - FORCE_WITHIN_S
        for child in self._children:
            if child.pid and 0 < child.leaving_since < late:
                log.warning("%s did not end in time", child.role.name)
                os.kill(child.pid, signal.SIGKILL)

    def _take_roles(self, roles: dict[str, WorkerRole]) -> None:
        self._renewal_began = time.monotonic()
        gc.collect()
        gc.freeze()
        for child in self._children:
            role = roles.pop(child.role.name, None)
            if role is not None and role.given == child.role.given:
                continue
            child.role, child.is_wanted = role or child.role, role is not None
            child.start_at = time.monotonic()
            if child.pid:
                child.leaving_since = time.monotonic()
                os.kill(child.pid, signal.SIGTERM)
        for role in roles.values():
            self._board.add(role.name)
            self._children.append(_Child(role))
        self._forget_unwanted()

    def _forget_unwanted(self) -> None:
        for child in tuple(self._children):
            if not child.is_wanted and not child.pid:
                self._children.remove(child)
                self._board.remove(child.role.name)

    def _report_renewal(self) -> None:
        if self._renewal_began is None:
            return
        if any(child.leaving_since or not child.pid for child in self._children):
            return
        took = time.monotonic() - self._renewal_began
        self._renewal_began = None
        log.info("every process works with the new configuration after %.1f s", took)

    def _start(self, child: _Child, pipe: tuple[int, int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        # A signal between the fork and the child's own handlers must not be lost in the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            self._run_child(child, pipe, parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        child.pid = pid
        child.started = time.monotonic()
        self._board.note(child.role.name, pid=pid, restarts=child.restarts)

    def _run_child(self, child: _Child, pipe: tuple[int, int], parent: int) -> None:
        """In the child: never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
            for end in pipe:
                os.close(end)
            _die_with(parent)
            _name_process(child.role.name)
            if child.died:
                child.role.recover()
            child.role.run()
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        finally:
            # The boundary of a process: whatever ended it is logged, and the parent starts another.
            error = sys.exc_info()
            if error[1] is not None:
                log.error("%s ended", child.role.name, exc_info=error)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _collect(self) -> None:
        """Every dead process is collected: as process 1 of a container, this inherits the jobs of a
        killed worker too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._record_death(child, status)

    def _record_death(self, child: _Child, status: int) -> None:
        if child.leaving_since:
            self._record_leaving(child, status)
            return
        lived = time.monotonic() - child.started
        worked = any(
            pulse.name == child.role.name and pulse.last_work >= child.started
            for pulse in self._board.read()
        )
        child.pid = 0
        child.restarts += 1
        child.died = status != 0
        child.quick_deaths = 0 if worked or lived >= LIVED_WELL_S else child.quick_deaths + 1
        backoff = (
            0.0
            if child.quick_deaths <= 1
            else min(LONGEST_BACKOFF_S, 0.25 * 2.0**child.quick_deaths)
        )
        child.start_at = time.monotonic() + backoff
        self._board.note(child.role.name, pid=0, restarts=child.restarts)
        if not self._ending:
            if status == 0:
                log.info("%s ended; restarting it", child.role.name)
                return
            how = (
                f"signal {os.WTERMSIG(status)}"
                if os.WIFSIGNALED(status)
                else f"exit code {os.waitstatus_to_exitcode(status)}"
            )
            log.warning(
                "%s died (%s); restarting it%s",
                child.role.name,
                how,
                f" in {backoff:g} s" if backoff else "",
            )

    def _record_leaving(self, child: _Child, status: int) -> None:
        child.pid, child.leaving_since, child.quick_deaths = 0, 0.0, 0
        child.died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        self._board.note(child.role.name, pid=0, restarts=child.restarts)
        self._forget_unwanted()

    def _end_all(self, reader: int) -> None:
        for number, within in (
            (signal.SIGTERM, END_WITHIN_S),
            (signal.SIGTERM, FORCE_WITHIN_S),
            (signal.SIGKILL, 5.0),
        ):
            for child in self._children:
                if child.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child.pid, number)
            deadline = time.monotonic() + within
            self._collect()
            while any(child.pid for child in self._children) and time.monotonic() < deadline:
                select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
                _drain(reader)
                self._collect()
            if not any(child.pid for child in self._children):
                return


def _prctl(option: int, argument: int) -> None:
    """prctl(2), which only Linux has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, argument)


def _name_process(name: str) -> None:
    """What `ps -o comm` and `top` show, 15 characters of it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(
            15, ctypes.create_string_buffer(name.encode()[:15]), 0, 0, 0
        )  # PR_SET_NAME


def _drain(reader: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(reader, 512):
            pass


def is_alive(pid: int) -> bool:
    """A process that has ended and was not collected yet counts as dead."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return sys.platform != "linux"


def _die_with(parent: int) -> None:
    """Linux: a child gets SIGTERM when its parent is gone, so that a killed supervisor leaves no
    workers behind."""
    _prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
