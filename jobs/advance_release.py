"""One tick of one release."""

from __future__ import annotations

from bot.operations.lifecycle.advance_release import advance_release as operation
from bot.operations.lifecycle.draft_release import Draft
from jobs.leasing import lease, lease_at_once
from jobs.resources import job_context


def advance_release(wake_id: str, token: str) -> None:
    with lease(wake_id, token) as held:
        if held.granted:
            held.next_wake = operation(job_context(), held.subject)


def advance_new_release(release_id: str, draft: Draft) -> None:
    with lease_at_once(f"release:{release_id}") as held:
        if held.granted:
            held.next_wake = operation(job_context(), release_id, draft)
