"""A process of the product started with a given environment and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError

from sandbox.free_ports import free_port
from tests.conftest import eventually

TOP = Path(__file__).resolve().parents[1]
PORT_VARIABLES = {"bot": "PILOTHOUSE_PORT"}


@contextmanager
def running(
    process: str, environment: Mapping[str, str], log: Path, *arguments: str
) -> Iterator[str]:
    """`pilothouse PROCESS`, ready; yields its address. On loopback and a free port, whatever the
    environment names: other processes of this machine listen too."""
    port = free_port()
    ours = {
        "PATH": os.environ["PATH"],
        "PILOTHOUSE_HOST": "127.0.0.1",
        PORT_VARIABLES.get(process, "PILOTHOUSE_METRICS_PORT"): str(port),
    }
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "bot", process, *arguments],
            env={**environment, **ours},
            cwd=TOP,
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        assert eventually(lambda: _is_ready(url) or started.poll() is not None, 120), (
            log.read_text()
        )
        assert started.poll() is None, log.read_text()
        yield url
    finally:
        started.terminate()
        started.wait(30)


def _is_ready(url: str) -> bool:
    try:
        for page in ("healthz", "readyz"):
            with urllib.request.urlopen(f"{url}/{page}", timeout=5) as answer:
                if answer.status != 200:
                    return False
    except (HTTPError, URLError, OSError):
        return False
    return True
