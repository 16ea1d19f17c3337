"""Processes of the product that begin with their imports made: forks of tests/spawner.py.

A handle behaves as ``subprocess.Popen``. The first process of `pytest --forks` starts the spawner,
and its forks share it; elsewhere the first request does.
"""

from __future__ import annotations

import array
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

import pytest

from tests.spawner import LONGEST_REQUEST, Request

TOP = Path(__file__).resolve().parents[1]


class SpawnedProcess:
    def __init__(self, words: Sequence[str], answers: int) -> None:
        self.args = [sys.executable, "-m", *words]
        self.returncode: int | None = None
        self._answers = answers
        self._text = ""
        self.pid = int(self._line(None) or 0)
        if not self.pid:
            raise ChildProcessError("the spawner ended")

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            line = self._line(seconds)
            if line is not None:
                self.returncode = int(line or -signal.SIGKILL)  # "": the spawner ended before it
                os.close(self._answers)
        return self.returncode

    def _line(self, seconds: float | None) -> str | None:
        """None: not within this time; "" at the end of the file."""
        ends = time.monotonic() + (seconds or 0)
        while "\n" not in self._text:
            left = None if seconds is None else max(0.0, ends - time.monotonic())
            if not select.select([self._answers], [], [], left)[0]:
                return None
            part = os.read(self._answers, 4096).decode()
            if not part:
                return ""
            self._text += part
        line, _, self._text = self._text.partition("\n")
        return line


class Spawner:
    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LONGEST_REQUEST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.spawner", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=TOP,
                start_new_session=True,
                env={"PATH": os.environ["PATH"]},
            )

    def spawn(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        output: IO[bytes],
        errors: IO[bytes] | None = None,
    ) -> SpawnedProcess:
        """A module and its arguments, as after ``python -m``, as a session of its own. Without a
        file for errors, they go where the output goes."""
        request = Request(words, dict(environment), str(TOP))
        answers, answer = os.pipe()
        with open(os.devnull, "rb") as nothing:
            numbers = [file.fileno() for file in (nothing, output, errors or output)]
            self._send(request, [*numbers, answer])
        os.close(answer)
        return SpawnedProcess(words, answers)

    def _send(self, request: Request, descriptors: Sequence[int]) -> None:
        rights = array.array("i", descriptors)
        self._requests.sendmsg(
            [json.dumps(asdict(request)).encode()],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)],
        )

    def close(self) -> None:
        self._requests.close()
        self._process.wait(60)


@functools.cache
def spawner() -> Spawner:
    return Spawner()


def pytest_sessionstart(session: pytest.Session) -> None:
    """It imports while the tests are collected."""
    if session.config.getoption("forks"):
        spawner()


def pytest_sessionfinish() -> None:
    if spawner.cache_info().currsize:
        spawner().close()
