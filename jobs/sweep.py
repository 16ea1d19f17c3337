"""Wake what nothing woke."""

from __future__ import annotations

from bot.operations.lifecycle.sweep import sweep as operation
from jobs.leasing import lease
from jobs.resources import job_context


def sweep(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context())
