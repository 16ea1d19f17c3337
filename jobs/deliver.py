"""Tell Slack what is untold of one release."""

from __future__ import annotations

from bot.operations.deliver import deliver as operation
from bot.wiring import worker_context
from jobs.leasing import lease


def deliver(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(worker_context(), held.subject)
