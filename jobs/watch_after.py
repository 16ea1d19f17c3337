"""Watch a version whose release has succeeded."""

from __future__ import annotations

from bot.operations.watching.watch_after import watch_after as operation
from jobs.leasing import lease
from jobs.resources import job_context


def watch_after(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)
