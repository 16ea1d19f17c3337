"""A person asks something of a release that exists: approve, pause, abort… The reply follows from
the record; the worker asks Slack again before it takes effect. Saving wakes the release."""

from __future__ import annotations

import uuid

from bot.operations.context import Context
from bot.operations.replies import Refusal, Reply, TextReply
from bot.ports import VersionConflict
from bot.releases.engine.ask import ask
from bot.releases.engine.respond import stand_of
from bot.releases.facts.release import Release
from bot.releases.facts.requests import PersonsRequest

ATTEMPTS = 5


def has_moved_on(release: Release) -> Refusal:
    return Refusal(
        f"{release.id} has moved on since you sent that.", "See its card, and send it again."
    )


def control_release(
    context: Context,
    release_id: str,
    request: PersonsRequest,
    done: str,
    *,
    shown: Release | None = None,
) -> Reply:
    """``done`` is the reply when the request is granted. The caller has checked who may ask.
    ``shown``: the request is refused if the release has left the gate or pause that it has there.
    """
    for _ in range(ATTEMPTS):
        try:
            release = context.store.load(release_id)
        except KeyError:
            return Refusal(
                f"There is no release `{release_id}`.", f"See `{context.names.typed('releases')}`."
            )
        if shown is not None and stand_of(release) != stand_of(shown):
            return has_moved_on(release)
        decision = ask(release, request, context.store.now())
        if decision.refusal:
            return Refusal(decision.refusal)
        try:
            context.store.save(
                decision.release,
                decision.events,
                operation=uuid.uuid4().hex,
                card=bool(decision.events),
                wake=True,
            )
        except VersionConflict:
            continue
        return TextReply(done, on_card=True)
    return Refusal(f"{release_id} is changing too fast.", "Try again.")
