"""Check what someone asked to start, and start it. Its first tick follows at once."""

from __future__ import annotations

from bot.operations.starts.answer_start import Answered
from bot.operations.starts.answer_start import answer_start as operation
from jobs.advance_release import advance_new_release
from jobs.leasing import lease
from jobs.resources import job_context


def answer_start(wake_id: str, token: str) -> None:
    answered = Answered()
    with lease(wake_id, token) as held:
        if held.granted:
            answered = operation(job_context(), held.subject)
            held.next_wake = answered.again_at
    if answered.begun is not None:
        advance_new_release(*answered.begun)
