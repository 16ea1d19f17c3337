"""A supervisor's children follow a changed configuration: only what differs is replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.supervisor import Board
from tests.conftest import eventually


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "roles"
    file.write_text("kept=1 changed=1 gone=1")
    return file


@pytest.fixture
def log(file: Path) -> Iterator[Path]:
    """Of the supervisor and its children."""
    log = file.with_name("log")
    words = [sys.executable, "-m", "tests.fakes.renewed_supervisor", str(file)]
    with log.open("wb") as output, subprocess.Popen(words, stdout=output, stderr=output) as process:
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def publish(file: Path, roles: str) -> None:
    """Whole: the supervisor may read at any moment, also between the truncation and the write."""
    new = file.with_name("new")
    new.write_text(roles)
    new.replace(file)


def test_a_changed_role_is_replaced_a_new_one_started_and_an_old_one_ended(
    file: Path, log: Path
) -> None:
    def has(*lines: str) -> bool:
        return eventually(lambda: set(lines) <= set(log.read_text().splitlines()))

    assert has("kept=1", "changed=1", "gone=1"), log.read_text()
    publish(file, "kept=1 changed=2 new=1")
    assert has("end of changed=1", "end of gone=1", "changed=2", "new=1"), log.read_text()
    publish(file, "kept=1 changed=2 new=1 gone=2")
    assert has("gone=2"), log.read_text()
    lines = log.read_text().splitlines()
    assert lines.count("kept=1") == 1 and lines.count("changed=2") == 1
    assert "end of kept=1" not in lines and not [line for line in lines if "died" in line]


def test_a_board_keeps_a_child_s_slot_when_others_come_and_go() -> None:
    board = Board(["ticker", "queries"])
    board.note("queries", pid=7, restarts=1)
    board.remove("ticker")
    board.add("releases")
    assert [(pulse.name, pulse.pid) for pulse in board.read()] == [("queries", 7), ("releases", 0)]
    board.note_configuration(loaded_at=5.5, is_refused=True)
    assert board.read_configuration() == (5.5, True)
