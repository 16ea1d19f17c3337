"""`pilothouse sandbox` as a newcomer starts and ends it: one URL, and no process or file left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import eventually

Start = Callable[[], subprocess.Popen[str]]
WITHIN_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the sandbox keeps its files; all its processes have it in their environment."""
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "bot", "sandbox"]
        environment = {**os.environ, "TMPDIR": str(folder)}
        started.append(
            subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
                start_new_session=True,  # a terminal sends Ctrl-C to the whole process group
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def processes_of(folder: Path) -> set[int]:
    """Processes that use this folder for temporary files."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={folder}\0".encode() in path.read_bytes():
                found.add(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def words_of(processes: set[int]) -> set[str]:
    """The words of their command lines."""
    found: set[str] = set()
    for number in processes:
        try:
            found.update(Path(f"/proc/{number}/cmdline").read_text().split("\0"))
        except OSError:
            continue
    return found


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found[0]
    raise AssertionError(f"it ended without printing `{pattern}`")


@pytest.mark.slow
def test_one_url_opens_the_sandbox_and_ctrl_c_twice_ends_it(start: Start, folder: Path) -> None:
    process = start()
    url = read_until(process, r"http://\S+")
    described = httpx.get(f"{url}/_sandbox/workspace").json()
    assert described["first_commands"] == [
        "/deploy hello 2.0.0",
        "/pods hello",
        "/deploy hello missing",
    ]
    assert {"Developer", "Release manager", "On-call"} <= {
        person["real_name"] for person in described["people"]
    }
    assert len(processes_of(folder)) > 5, "the cluster, Redis, the bot, the worker and its children"
    process.send_signal(signal.SIGINT)
    read_until(process, "Ending")
    process.send_signal(signal.SIGINT)
    assert process.wait(WITHIN_S) == 0
    assert eventually(lambda: not processes_of(folder))
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_ctrl_c_ends_a_sandbox_that_is_starting(start: Start, folder: Path) -> None:
    process = start()
    read_until(process, "Starting")
    assert eventually(lambda: len(processes_of(folder)) > 2, WITHIN_S)
    process.send_signal(signal.SIGINT)
    read_until(process, "Ended before it was ready")
    assert process.wait(WITHIN_S) == 0
    assert eventually(lambda: not processes_of(folder))
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_shows_no_traceback(start: Start, folder: Path) -> None:
    process = start()
    assert eventually(lambda: "manifest" in words_of(processes_of(folder)), WITHIN_S)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout is not None
    printed = process.stdout.read().splitlines()
    assert printed[-1] == "Ended before it was ready."
    assert not [line for line in printed if "Traceback" in line]
    assert process.wait(WITHIN_S) == 0


@pytest.mark.parametrize(
    "when", ["raise KeyboardInterrupt", "def main(words):\n  raise KeyboardInterrupt"]
)
def test_a_command_interrupted_before_it_handles_signals_ends_quietly(
    when: str, tmp_path: Path
) -> None:
    (tmp_path / "interrupted.py").write_text(when)
    package = tmp_path / "interrupted-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: interrupted\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[pilothouse.commands]\ninterrupted = interrupted:main\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "bot", "interrupted"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [signal.SIGHUP, signal.SIGKILL], ids=["its terminal is closed", "it is killed"]
)
def test_no_process_outlives_the_sandbox(start: Start, folder: Path, how: signal.Signals) -> None:
    process = start()
    read_until(process, r"http://\S+")
    process.send_signal(how)
    process.wait(WITHIN_S)
    assert eventually(lambda: not processes_of(folder), WITHIN_S)
    assert eventually(lambda: not list(folder.iterdir()))
