"""Tell a channel what somebody did past the bot."""

from __future__ import annotations

from bot.operations.delivery.report_outside_change import report_outside_change as operation
from bot.wiring import worker_context
from jobs.leasing import lease


def report_outside_change(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(worker_context(), held.subject)
