"""`pytest --forks N` collects once, and runs the tests in N forks of that process.

pytest-xdist imports and collects anew in each of its processes: 7 s of processor time each, for
some 5,000 tests. A fork has it all already. Tests that share something costly stay together, see
tests/scheduling.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import pytest

from tests.scheduling import units

log = logging.getLogger(__name__)

ENDS_WITHIN_S = 60.0
"""What an interrupted test and the ends of its fixtures may take."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--forks",
        type=int,
        default=0,
        metavar="N",
        help="collect once, and run the tests in N forks of this process",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """None leaves the run to pytest: without the option, or with an error in the collection."""
    count = session.config.getoption("forks")
    if not count or session.testsfailed or session.config.option.collectonly:
        return None
    _prepare(session.config)
    with _forked(session, count) as forks:
        _Run(session, forks).run()
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    return True


def _prepare(config: pytest.Config) -> None:
    """What forks must share, or must not."""
    assert threading.active_count() == 1, "a thread does not survive a fork"
    config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None:
        terminal.showfspath = False  # the tests of many files end beside each other


@dataclass
class _Fork:
    pid: int
    connection: Connection
    unit: deque[pytest.Item] = field(default_factory=deque)
    """What it has not finished, the running test first."""


@contextlib.contextmanager
def _forked(session: pytest.Session, count: int) -> Iterator[list[_Fork]]:
    forks: list[_Fork] = []
    try:
        for _ in range(count):
            ours, theirs = Pipe()
            pid = os.fork()
            if not pid:
                for connection in (ours, *(fork.connection for fork in forks)):
                    connection.close()
                _live(session, theirs)
            theirs.close()
            forks.append(_Fork(pid, ours))
        yield forks
    finally:
        for fork in forks:
            fork.connection.close()
        _wait_for([fork.pid for fork in forks])


def _wait_for(pids: Sequence[int]) -> None:
    ends = time.monotonic() + ENDS_WITHIN_S
    for pid in pids:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > ends:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


class _Run:
    """In the first process: hands out units of tests, and gives pytest what comes back."""

    def __init__(self, session: pytest.Session, forks: Sequence[_Fork]) -> None:
        self._session, self._hook = session, session.config.hook
        self._living = {fork.connection: fork for fork in forks}
        self._indices = {item: index for index, item in enumerate(session.items)}
        self._waiting = deque(units(session.items))

    def run(self) -> None:
        for fork in self._living.values():
            self._hand_out(fork)
        while self._living and not self._session.shouldfail:
            for ready in wait(list(self._living)):
                fork = self._living[cast(Connection, ready)]
                try:
                    kind, content = fork.connection.recv()
                except (EOFError, ConnectionError):
                    self._bury(fork)
                else:
                    getattr(self, f"_on_{kind}")(fork, content)
        if self._waiting and not self._session.shouldfail:
            self._session.shouldfail = "every test process ended before the last test"

    def _hand_out(self, fork: _Fork) -> None:
        stops = self._session.shouldfail or self._session.shouldstop
        fork.unit = deque() if stops or not self._waiting else deque(self._waiting.popleft())
        with contextlib.suppress(ConnectionError):  # it is over: the next read of it says so
            fork.connection.send([self._indices[item] for item in fork.unit])

    def _on_started(self, _fork: _Fork, test: tuple[str, Any]) -> None:
        self._hook.pytest_runtest_logstart(nodeid=test[0], location=test[1])

    def _on_reported(self, _fork: _Fork, content: dict[str, Any]) -> None:
        config = self._session.config
        report = self._hook.pytest_report_from_serializable(config=config, data=content)
        self._hook.pytest_runtest_logreport(report=report)

    def _on_warned(self, _fork: _Fork, content: dict[str, Any]) -> None:
        self._hook.pytest_warning_recorded.call_historic(kwargs=content)

    def _on_finished(self, fork: _Fork, test: tuple[str, Any]) -> None:
        self._hook.pytest_runtest_logfinish(nodeid=test[0], location=test[1])
        fork.unit.popleft()
        if not fork.unit:
            self._hand_out(fork)

    def _bury(self, fork: _Fork) -> None:
        """Where it ended early, the test that ran fails, and those behind it with it."""
        del self._living[fork.connection]
        for place, item in enumerate(fork.unit):
            told = "not run: the process ended" if place else "the process ended during this test"
            report = pytest.TestReport(item.nodeid, item.location, {}, "failed", told, "call")
            self._hook.pytest_runtest_logreport(report=report)


def _live(session: pytest.Session, connection: Connection) -> None:
    """A fork's life. It never returns: what the first process does at its end is not for a fork."""
    try:
        _restart_capture(session.config)
        session.config.pluginmanager.unregister(name="terminalreporter")
        session.config.pluginmanager.register(_Reports(session.config, connection))
        _work_off(session, connection)
    except (KeyboardInterrupt, EOFError, ConnectionError):
        session._setupstate.teardown_exact(None)
    except Exception:  # logged
        log.exception("a test process ended early")
    finally:
        os._exit(0)


def _restart_capture(config: pytest.Config) -> None:
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.start_global_capturing()
    capture.suspend_global_capture()


def _work_off(session: pytest.Session, connection: Connection) -> None:
    item = None
    while indices := connection.recv():
        unit = [session.items[index] for index in indices]
        # The session as the next item: what lives as long as it is kept for the next unit.
        for item, following in zip(unit, (*unit[1:], session), strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail or session.shouldstop:
                return
    if item is not None:
        _end_fixtures(session, item)


def _end_fixtures(session: pytest.Session, last: pytest.Item) -> None:
    """Those of the session; an error is one of the last test."""
    call = pytest.CallInfo.from_call(
        lambda: session._setupstate.teardown_exact(None), when="teardown"
    )
    if call.excinfo is not None:
        report = pytest.TestReport.from_item_and_call(last, call)
        session.config.hook.pytest_runtest_logreport(report=report)


class _Reports:
    """A fork's plugin: hands on what the terminal shows."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config, self._connection = config, connection

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self._connection.send(("started", (nodeid, location)))

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self._connection.send(("finished", (nodeid, location)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        content = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report
        )
        self._connection.send(("reported", content))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        plain = {"when": when, "nodeid": nodeid, "location": location}
        self._connection.send(("warned", {"warning_message": _sendable(warning_message), **plain}))


def _sendable(warning: warnings.WarningMessage) -> warnings.WarningMessage:
    try:
        pickle.dumps(warning)
    except (pickle.PicklingError, TypeError, AttributeError):
        text = f"{warning.category.__name__}: {warning.message}"
        return warnings.WarningMessage(
            UserWarning(text), UserWarning, warning.filename, warning.lineno
        )
    return warning
