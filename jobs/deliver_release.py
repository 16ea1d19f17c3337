"""Tell Slack what is untold of one release."""

from __future__ import annotations

from bot.operations.delivery.deliver_release import deliver_release as operation
from bot.wiring import worker_context
from jobs.leasing import lease


def deliver_release(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(worker_context(), held.subject)
