"""Tell a channel what somebody did past the bot."""

from __future__ import annotations

from bot.operations.tell_noticed import tell_noticed as operation
from bot.wiring import worker_context
from jobs.leasing import lease


def tell_noticed(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(worker_context(), held.subject)
