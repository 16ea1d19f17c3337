"""What is known of the worker's processes, and when they are called ill."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from jobs.metrics import BEAT_WITHIN_S, ailing
from jobs.supervisor import Board, is_alive


def a_board() -> Board:
    board = Board(["ticker", "queries"])
    for name in ("ticker", "queries"):
        board.note(name, pid=os.getpid(), restarts=0)
        board.beat(name)
    return board


def test_a_board_keeps_each_child_apart() -> None:
    board = a_board()
    board.note("queries", pid=0, restarts=3)
    assert [(pulse.name, pulse.pid, pulse.restarts) for pulse in board.read()] == [
        ("ticker", os.getpid(), 0),
        ("queries", 0, 3),
    ]


def test_all_is_well_while_all_live() -> None:
    assert ailing(a_board(), time.monotonic()) == ()


def test_a_child_that_is_down_is_named() -> None:
    board = a_board()
    board.note("queries", pid=0, restarts=1)
    assert ailing(board, time.monotonic()) == ("queries is down",)


def test_a_stalled_ticker_is_named_and_an_idle_worker_is_not() -> None:
    (line,) = ailing(a_board(), time.monotonic() + BEAT_WITHIN_S + 5)
    assert line.startswith("ticker has not responded for ")


def test_a_process_that_ended_but_was_not_collected_counts_as_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(child.pid)
    child.wait()
    assert not is_alive(child.pid)
    assert child.stdin is not None
    child.stdin.close()
