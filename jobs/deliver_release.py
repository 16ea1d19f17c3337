"""Deliver the undelivered messages of one release to Slack."""

from __future__ import annotations

from bot.operations.delivery.deliver_release import deliver_release as operation
from jobs.leasing import lease
from jobs.resources import job_context


def deliver_release(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)
