"""ask(release, request, now): a person's request is kept until Slack has said again that they may
make it; what cannot be granted now is refused at once."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decision import Decision
from bot.releases.engine.gates import open_gate
from bot.releases.engine.respond import capacity_name, respond, stop_name
from bot.releases.facts.release import Release
from bot.releases.facts.requests import (
    Adopt,
    Approve,
    Asked,
    Finish,
    PersonsRequest,
    Promote,
    Resume,
)

MOST_ASKED = 10


def ask(release: Release, request: PersonsRequest, now: int) -> Decision:
    """Votes and ends of holds are recorded at once: the gate asks before it opens."""
    if isinstance(request, Approve) or (
        isinstance(request, Promote | Finish) and open_gate(release) is not None
    ):
        return respond(release, request, now)
    expected = release
    for earlier in release.asked:
        expected = respond(expected, earlier.request, now).release
    if line := respond(expected, request, now).refusal:
        return Decision(release, refusal=line)
    if len(release.asked) >= MOST_ASKED:
        return Decision(release, refusal=f"{release.id} still waits for Slack. Try again later.")
    asked = Asked(_bound(release, request), now)
    return Decision(replace(release, asked=(*release.asked, asked)), wake_at=now)


def _bound(release: Release, request: PersonsRequest) -> PersonsRequest:
    """What was typed is meant for the pause, drift or wait for capacity that stands now."""
    if isinstance(request, Resume | Adopt) and not request.at:
        return replace(request, at=stop_name(release))
    if isinstance(request, Promote) and not request.at:
        return replace(request, at=capacity_name(release))
    return request
