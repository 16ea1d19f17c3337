"""Check what someone asked to start, and start it."""

from __future__ import annotations

from bot.operations.queries.answer_start import answer_start as operation
from jobs.leasing import lease
from jobs.resources import job_context


def answer_start(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)
