"""How much memory the processes hold, and how soon the sandbox is ready."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.rows import Row
from sandbox.main import run_sandbox


def resident_mb(pid: int) -> float:
    """VmRSS of one process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} is gone")


def children(pid: int) -> list[int]:
    return [
        int(word)
        for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def run() -> list[Row]:
    began = time.perf_counter()
    with run_sandbox(ready_after=0.2, rate_scale=0) as sandbox:
        started = time.perf_counter() - began
        sandbox.slack.command("U0DEV1", "C0RELEASES", "/deploy hello 2.0.0")
        told = "hello is on 2.0.0"
        sandbox.slack.wait_for(
            lambda: any(told in m.get("text", "") for m in sandbox.slack.messages("C0RELEASES")),
            seconds=60,
            what=told,
        )
        bot = resident_mb(sandbox.part("bot").process.pid)
        worker = max(resident_mb(pid) for pid in children(sandbox.part("worker").process.pid))
    return [
        Row("bot resident", "MB", bot, "<= 110 MB", bot <= 110, None, "after one release"),
        Row(
            "largest worker process resident",
            "MB",
            worker,
            "<= 130 MB",
            worker <= 130,
            None,
            "after one release",
        ),
        Row(
            "sandbox ready",
            "s",
            started,
            "<= 8 s",
            started <= 8,
            None,
            "installed; Redis, cluster, Slack, bot, worker",
        ),
    ]
