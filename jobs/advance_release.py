"""One tick of one release."""

from __future__ import annotations

from bot.operations.lifecycle.advance_release import advance_release as operation
from bot.wiring import worker_context
from jobs.leasing import lease


def advance_release(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(worker_context(), held.subject)
