"""A person asks something of a release that exists: approve, pause, abort… Answered from the
record; saving wakes the release."""

from __future__ import annotations

import uuid

from bot.operations.context import Context
from bot.operations.replies import Refusal, Reply, TextReply
from bot.ports import VersionConflict
from bot.releases.engine.respond import respond
from bot.releases.facts.requests import Request

ATTEMPTS = 5


def control_release(context: Context, release_id: str, request: Request, done: str) -> Reply:
    """``done`` is what the asker is told when it was granted. The caller has checked who
    may ask."""
    for _ in range(ATTEMPTS):
        try:
            release = context.store.load(release_id)
        except KeyError:
            return Refusal(f"there is no release `{release_id}`", "see `/releases`")
        decision = respond(release, request, context.store.now())
        if decision.refusal:
            return Refusal(decision.refusal)
        try:
            context.store.save(
                decision.release, decision.events, operation=uuid.uuid4().hex, wake=True
            )
        except VersionConflict:
            continue
        return TextReply(done)
    return Refusal(f"{release_id} changes too fast right now: try again")
