"""Send what happened to one release to one receiver."""

from __future__ import annotations

from bot.operations.delivery.send_events import send_events as operation
from jobs.leasing import lease
from jobs.resources import job_context


def send_events(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)
