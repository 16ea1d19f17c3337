"""What waits behind a release is on its card: there Abort asks what becomes of it."""

from __future__ import annotations

from bot.operations.context import Context
from bot.ports import UnknownSchema, VersionConflict
from bot.releases.engine.queue import waits_behind
from bot.releases.facts.release import Phase, Release


def is_followed(context: Context, release: Release) -> bool:
    if release.phase.is_final or release.phase is Phase.QUEUED:
        return False
    active = context.store.active(release.target.app, release.target.cluster)
    return any(waits_behind(one, release) for one in active)


def redraw_front(context: Context, waiting: Release, front_id: str) -> None:
    """Where the front's record changes meanwhile, that change draws its card."""
    try:
        front = context.store.load(front_id)
        if not front.phase.is_final and waits_behind(waiting, front):
            context.store.save(front, (), operation=context.runtime.new_id())
    except (KeyError, UnknownSchema, VersionConflict):
        return
