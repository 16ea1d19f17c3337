"""Every process beside a Redis that refuses: one clear line, again and again the same, and no
traceback. It starts to work once Redis lets it."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.error import HTTPError

import pytest

from sandbox.free_ports import free_port
from tests.conftest import eventually
from tests.fakes.refusing_redis import refusing_redis
from tests.processes import TOP

REFUSALS = {
    "NOAUTH Authentication required.": "rejected the credentials",
    "NOPERM User worker has no permissions to run the 'evalsha' command": "denied a command",
    "DENIED Redis is running in protected mode because protected mode is enabled": "protected mode",
    "WRONGPASS invalid username-password pair or user is disabled.": "rejected the credentials",
    "LOADING Redis is loading the dataset in memory": "loading its data",
    "MISCONF Redis is configured to save RDB snapshots, but it's unable to": "refuses writes",
}
CATALOG = """
clusters: {local: {kubeconfig: ./none}}
apps: {hello: {cluster: local}}
"""
AT_THE_DOOR, AT_A_COMMAND, *OTHERS = REFUSALS
STAYING = ("bot", "worker", "watcher")
ONCE = ("releases", "doctor")


@dataclass(frozen=True)
class Started:
    process: subprocess.Popen[bytes]
    output: Path
    port: int

    def log(self) -> str:
        return self.output.read_text()

    def code(self) -> int | None:
        return self.process.poll()

    def tells(self, line: str) -> bool:
        """At /readyz, and a worker, which reads Redis by itself, in its log."""
        if self.output.name == "worker" and line not in self.log():
            return False
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5)
        except HTTPError as refused:
            return line in refused.read().decode()
        except OSError:
            return False
        return False


def slow(error: str) -> object:
    return pytest.param(error, marks=pytest.mark.slow)


@contextmanager
def started(command: str, folder: Path, redis_port: int) -> Iterator[Started]:
    port = free_port()
    (folder / "catalog.yaml").write_text(CATALOG)
    environment = {
        "PATH": "/usr/bin:/bin",
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_SIGNING_SECRET": "secret",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "REDIS_URL": f"redis://worker:pa55word@127.0.0.1:{redis_port}/0",
        "PILOTHOUSE_CONFIG": str(folder / "catalog.yaml"),
        "PILOTHOUSE_PORT" if command == "bot" else "PILOTHOUSE_METRICS_PORT": str(port),
    }
    with (folder / command).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", command],
            stdout=output,
            stderr=output,
            env=environment,
            cwd=TOP,
        )
    try:
        yield Started(process, folder / command, port)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("error", [AT_THE_DOOR, AT_A_COMMAND, *(slow(one) for one in OTHERS)])
def test_a_redis_that_refuses_is_one_line_from_every_process(tmp_path: Path, error: str) -> None:
    says = REFUSALS[error]
    with refusing_redis(error) as port:
        for command in STAYING:
            with started(command, tmp_path, port) as process:
                assert eventually(partial(process.tells, says), 60), process.log()
                assert process.code() is None
        for command in ONCE:
            with started(command, tmp_path, port) as process:
                assert eventually(lambda: process.code() is not None, 60)
                assert process.code() == 1
                assert says in process.log()
    for command in (*STAYING, *ONCE):
        log = (tmp_path / command).read_text()
        assert "Traceback" not in log, log
