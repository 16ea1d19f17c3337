"""A process of the product started with a given environment and nothing else."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

from sandbox.free_ports import free_port
from sandbox.main import Launch, Process, launch
from tests.conftest import eventually

PORT_VARIABLES = {"bot": "PILOTHOUSE_PORT"}


@dataclass(frozen=True)
class Started:
    url: str
    log: Path
    process: Process

    def is_ready(self) -> bool:
        return self._answer("healthz")[0] == self._answer("readyz")[0] == 200

    def why_not_ready(self) -> str:
        return self._answer("readyz")[1]

    def is_over(self) -> bool:
        return self.process.poll() is not None

    def _answer(self, page: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.url}/{page}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError:
            return 0, ""


@contextmanager
def started(
    process: str,
    environment: Mapping[str, str],
    log: Path,
    *arguments: str,
    launch: Launch = launch,
) -> Iterator[Started]:
    """`pilothouse PROCESS` on loopback and a free port, whatever the environment names: other
    processes of this machine listen too. The real command, unless ``launch`` is the spawner's."""
    port = free_port()
    ours = {
        "PATH": os.environ["PATH"],
        "PILOTHOUSE_HOST": "127.0.0.1",
        PORT_VARIABLES.get(process, "PILOTHOUSE_METRICS_PORT"): str(port),
    }
    with log.open("wb") as output:
        words = ["bot", process, *arguments]
        child = launch(words, environment={**environment, **ours}, output=output)
    try:
        yield Started(f"http://127.0.0.1:{port}", log, child)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


@contextmanager
def running(
    process: str, environment: Mapping[str, str], log: Path, *arguments: str
) -> Iterator[str]:
    """Once it is ready; yields its address."""
    with started(process, environment, log, *arguments) as child:
        assert eventually(lambda: child.is_ready() or child.is_over(), 120), log.read_text()
        assert not child.is_over(), log.read_text()
        yield child.url
