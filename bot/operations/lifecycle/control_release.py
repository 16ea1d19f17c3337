"""A person asks something of a release that exists: approve, pause, abort… The reply follows from
the record; the worker asks Slack again before it takes effect. Saving wakes the release."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.operations.lifecycle.hold_in_queue import freeze_of_held
from bot.operations.replies import Refusal, Reply, TextReply
from bot.ports import VersionConflict
from bot.releases.engine.ask import ask
from bot.releases.engine.respond import stand_of
from bot.releases.facts.release import Release
from bot.releases.facts.requests import PersonsRequest, Resume
from bot.request_id import current_work

ATTEMPTS = 5


def has_moved_on(release: Release) -> Refusal:
    return Refusal(
        f"{release.id} has moved on since you sent that.", "See its card, and send it again."
    )


def refusal_while_frozen(release: Release, freeze: str) -> Refusal:
    return Refusal(
        f"{release.to_version} stays held: {freeze}.",
        "Its card asks again when the freeze is over; Drop works meanwhile.",
    )


def _taken(release: Release) -> Release:
    """What follows, up to the calls to Kubernetes, is done for this request."""
    request = current_work().request
    return replace(release, latest_request_id=request) if request else release


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
        if isinstance(request, Resume) and (freeze := freeze_of_held(context, release)):
            return refusal_while_frozen(release, freeze)
        decision = ask(release, request, context.store.now())
        if decision.refusal:
            return Refusal(decision.refusal)
        try:
            context.store.save(
                _taken(decision.release),
                decision.events,
                operation=context.runtime.new_id(),
                card=bool(decision.events),
                wake=True,
            )
        except VersionConflict:
            continue
        return TextReply(done, on_card=True)
    return Refusal(f"{release_id} is changing too fast.", "Try again.")
