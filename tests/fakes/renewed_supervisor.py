"""``python -m tests.fakes.renewed_supervisor FILE``: a supervisor whose children are the words of
the file, each with its number: ``kept=1 changed=1``. Each child prints its word and waits."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from bot.stop_signal import StopSignal
from jobs.supervisor import Board, Supervisor, WorkerRole


def main(file: Path) -> int:
    last = ""

    def roles() -> list[WorkerRole]:
        nonlocal last
        last = file.read_text()
        return [
            WorkerRole(word.partition("=")[0], partial(_child, word), given=word)
            for word in last.split()
        ]

    def renew() -> list[WorkerRole] | None:
        return None if file.read_text() == last else roles()

    return Supervisor(roles(), Board(), renew, renew_every_s=0.02).run()


def _child(word: str) -> None:
    stop = StopSignal().on_signals()
    _write(word)
    stop.wait()
    _write(f"end of {word}")
    raise SystemExit(1)


def _write(line: str) -> None:
    """In one call. With PYTHONUNBUFFERED `print` writes the end of the line by itself, after what
    another child may write meanwhile."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
