"""Follow a rollout outside Pilothouse until it is over."""

from __future__ import annotations

from bot.operations.watching.follow_rollout import follow_rollout as operation
from jobs.leasing import lease
from jobs.resources import job_context


def follow_rollout(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)
