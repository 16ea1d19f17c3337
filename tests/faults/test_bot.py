"""The bot is stopped during a request: it finishes that request and accepts no new one."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from sandbox.main import run_sandbox
from tests.conftest import eventually

pytestmark = pytest.mark.slow


def connections(port: int) -> list[tuple[int, int, int, int]]:
    """(local port, remote port, unread bytes, inode) of this machine's connections with that port
    (proc(5): /proc/net/tcp)."""
    rows = (
        line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    )
    every = ((_last_hex(row[1]), _last_hex(row[2]), _last_hex(row[4]), int(row[9])) for row in rows)
    return [one for one in every if port in one[:2]]


def _last_hex(text: str) -> int:
    return int(text.rpartition(":")[2], 16)


def waits_for(pid: int, port: int) -> bool:
    """Whether a process sent something that a server of this machine has not read yet."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    inodes = {link.readlink().name for link in links if link.is_symlink()}
    own = {
        local
        for local, remote, _, inode in connections(port)
        if remote == port and f"socket:[{inode}]" in inodes
    }
    return any(
        local == port and remote in own and unread for local, remote, unread, _ in connections(port)
    )


def test_the_bot_answers_a_running_command_before_it_ends() -> None:
    with run_sandbox(ready_after=0.1, rate_scale=0) as sandbox:
        bot = sandbox.part("bot").process
        os.kill(sandbox.redis.pid, signal.SIGSTOP)
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                sandbox.slack.command("U0DEV1", "C0RELEASES", "/deploy hello 2.0.0")
            )
        )
        asking.start()
        assert eventually(lambda: waits_for(bot.pid, sandbox.redis.port), 2)
        bot.send_signal(signal.SIGTERM)
        port = int(sandbox.bot_url.rpartition(":")[2])
        assert eventually(lambda: not _takes_connections(port))
        os.kill(sandbox.redis.pid, signal.SIGCONT)
        asking.join(10)
        assert answers[0]["ok"], answers
        # a worker starts what was asked for
        assert eventually(
            lambda: bool(sandbox.slack.messages("C0RELEASES", "U0DEV1", about="hello-1"))
        )
        assert bot.wait(10) == 0


def _takes_connections(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
