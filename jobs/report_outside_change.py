"""Report to a channel what someone changed outside Pilothouse."""

from __future__ import annotations

from bot.operations.delivery.report_outside_change import report_outside_change as operation
from jobs.leasing import lease
from jobs.resources import job_context


def report_outside_change(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)
