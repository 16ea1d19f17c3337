"""Ends our processes even when we are killed, and removes what they leave."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# Reads one line per started group; the end of file means that the parent is gone, in whatever way.
# Then the groups are ended, the last command is run and the folder removed. A clean stop writes
# "done" first, and the guardian leaves everything alone.
_GUARDIAN = """
import os, shutil, signal, subprocess, sys
groups = []
for line in sys.stdin:
    if line.strip() == "done":
        sys.exit(0)
    groups.append(int(line))
for group in reversed(groups):
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
if sys.argv[2:]:
    subprocess.run(sys.argv[2:])
if sys.argv[1]:
    shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Guardian:
    """A small process of its own. Each process it watches leads a process group.

    If we are killed it runs ``last``, once they have been killed, and removes the folder.
    """

    def __init__(self, *, remove_folder: Path | None, last: Sequence[str] = ()) -> None:
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-I", "-c", _GUARDIAN, str(remove_folder or ""), *last],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal must not reach it
        )

    def watch(self, pid: int) -> None:
        self._send(f"{pid}\n")

    def dismiss(self) -> None:
        """Everything has ended in order. May be called twice."""
        self._send("done\n")
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with suppress(BrokenPipeError):
                pipe.write(line)
                pipe.flush()
