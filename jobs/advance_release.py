"""One tick of one release."""

from __future__ import annotations

from bot.operations.lifecycle.advance_release import advance_release as operation
from jobs.leasing import lease
from jobs.resources import job_context


def advance_release(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)
