"""A version whose front did not succeed leaves the line until people decide, so that nothing else
waits for it."""

from __future__ import annotations

import uuid

from bot.operations.context import Context
from bot.operations.delivery.find_card import find_card
from bot.ports import Locked, UnknownSchema
from bot.releases.engine.decision import Decision
from bot.releases.engine.queue import front_that_holds, hold, stay_held, waits_behind
from bot.releases.facts.release import Phase, PlaceInLine, Release

RECENT = 50
ASKED_ONCE_MS = 86_400_000


def hold_in_queue(context: Context, release: Release) -> Decision | None:
    """None where nothing holds it. Raises VersionConflict."""
    decision = _decision(context, release)
    if decision is None:
        return None
    if decision.events or decision.release != release:
        saved = context.store.save(decision.release, decision.events, operation=uuid.uuid4().hex)
        if saved.phase.is_final:
            return decision
    context.store.leave_line(release.id)
    return decision


def _decision(context: Context, release: Release) -> Decision | None:
    now = context.store.now()
    if release.held is not None:
        return stay_held(release, now)
    app = release.target.app
    front = front_that_holds(release, context.store.recent(app, limit=RECENT))
    if front is None:
        return None
    asks = context.store.put_new(f"held:{front.id}", release.id, ttl_ms=ASKED_ONCE_MS)
    waiting = [
        one
        for one in context.store.active(app)
        if one.id == release.id or (waits_behind(one, front) and one.created_at < front.finished_at)
    ]
    return hold(release, front, waiting if asks else (), now)


def place_in_line(context: Context, locked: Locked) -> PlaceInLine:
    """Where a waiting release stands, and when the one in front is usually done."""
    card = find_card(context, locked.behind)
    try:
        front = context.store.load(locked.behind)
    except (KeyError, UnknownSchema):
        return PlaceInLine(locked.position, card)
    is_rolling = front.phase is Phase.PROGRESSING and front.rollback is None and front.usual_ms
    progress = front.progress
    done_by = progress.began_at + front.usual_ms + progress.paused_ms if is_rolling else 0
    return PlaceInLine(locked.position, card, done_by)
