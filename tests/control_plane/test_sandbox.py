"""`pilothouse sandbox --cluster control-plane`, from its first line to its last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import eventually

COMMAND = [sys.executable, "-m", "bot", "sandbox", "--cluster", "control-plane"]


def test_a_missing_control_plane_is_reported_with_the_command_to_run(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 1
    assert (
        done.stderr
        == "The real control plane is not built yet: run `make control-plane` (about 6 minutes,"
        " once).\n"
    )


@pytest.mark.control_plane
def test_names_the_part_of_the_control_plane_that_dies_and_cleans_up(
    control_plane_binaries: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = iter(process.stdout.readline, "")
        told = next((line for line in lines if "Open http" in line), "")
        assert "ready after" in told, process.stderr.read()
        (scheduler,) = [
            pid for pid, words in _processes(tmp_path).items() if "kube-scheduler" in words
        ]
        os.kill(scheduler, signal.SIGKILL)
        assert eventually(lambda: process.poll() is not None, within_s=30)
        assert process.returncode == 1
        assert process.stderr.read().startswith("kube-scheduler ended:\n")
    assert eventually(lambda: _processes(tmp_path) == {})
    assert eventually(
        lambda: (
            [path.name for path in tmp_path.iterdir() if path.name.startswith("pilothouse")] == []
        )
    )


def _processes(folder: Path) -> dict[int, str]:
    """Those that work in the folder or are told of it, by their words."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text().replace("\0", " ")
                if str(folder) in words or os.readlink(entry / "cwd").startswith(str(folder)):
                    found[int(entry.name)] = words
            except OSError:
                continue
    return found
