"""``python -m tests.spawner DESCRIPTOR``: has imported what a process of the product imports, and
forks one for each request.

Its imports take a process of the product more than a second of processor time, and tests start
dozens. Its environment, folder, arguments and descriptors are those of the request, as after an
exec; tests/unit/jobs/test_start.py proves the real commands. See tests/spawned.py.
"""

from __future__ import annotations

import array
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

IMPORTED = (
    "bot.wiring",
    "bot.slack.manifest",
    "config.logs",
    "jobs.advance_release",
    "jobs.answer_start",
    "jobs.deliver_release",
    "jobs.follow_rollout",
    "jobs.report_outside_change",
    "jobs.run_query",
    "jobs.sweep",
    "jobs.watch_after",
    "jobs.worker",
    "sandbox.cluster.simulation",
    "uvicorn",
)
LONGEST_REQUEST = 128 * 1024
DESCRIPTORS = 4
"""Of a request: standard input, output and error, and where to write the process's number, then its
exit code."""


@dataclass(frozen=True)
class Request:
    words: Sequence[str]
    environment: dict[str, str]
    folder: str


def main(descriptor: int) -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    request = _serve(socket.socket(fileno=descriptor))
    if request is not None:
        _become(request)


def _serve(requests: socket.socket) -> Request | None:
    """In a fork, the request it was made for; None once nobody is left who could ask."""
    woken, wakes = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for who asks
    answers: dict[int, int] = {}
    while True:
        for ready in select.select([requests.fileno(), woken], [], [])[0]:
            if ready == requests.fileno():
                asked = _receive(requests)
                if asked is None:
                    return None
                request, descriptors = asked
                pid = os.fork()
                if not pid:
                    for number in (woken, wakes, requests.detach(), *answers.values()):
                        os.close(number)
                    _take(descriptors)
                    return request
                answers[pid] = _answer(descriptors, pid)
            else:
                os.read(woken, 4096)
                _report_ends(answers)


def _receive(requests: socket.socket) -> tuple[Request, list[int]] | None:
    size = array.array("i").itemsize
    text, ancillary, *_ = requests.recvmsg(LONGEST_REQUEST, socket.CMSG_SPACE(DESCRIPTORS * size))
    if not text:
        return None
    descriptors = array.array("i")
    for _level, _kind, content in ancillary:
        descriptors.frombytes(content)
    return Request(**json.loads(text)), list(descriptors)


def _answer(descriptors: list[int], pid: int) -> int:
    *standard, answer = descriptors
    for number in standard:
        os.close(number)
    os.write(answer, f"{pid}\n".encode())
    return answer


def _report_ends(answers: dict[int, int]) -> None:
    while answers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        answer = answers.pop(pid)
        os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os.close(answer)


def _take(descriptors: list[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    *standard, answer = descriptors
    os.close(answer)
    for place, number in enumerate(standard):
        os.dup2(number, place)
        os.close(number)


def _become(request: Request) -> None:
    os.setsid()
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    for stream in (sys.stdout, sys.stderr):
        _unbuffered(stream)
    module, *arguments = request.words
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _unbuffered(stream: Any) -> None:
    stream.reconfigure(write_through=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
