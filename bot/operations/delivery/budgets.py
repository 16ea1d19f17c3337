"""How much all workers together may send to Slack, and what goes first when that is not enough.

Slack publishes about one post a second for each channel, and "50+ per minute" for chat.update in
the whole workspace. Both buckets stay a little below: calls that leave evenly may arrive in a
burst.
"""

from __future__ import annotations

from bot.ports import Announcement, Budget
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Release

EDITS = Budget("slack edits", per_minute=49, burst=8, reserve=5)
OVER, WAITED_FOR, MOVING = 0, 1, 2
"""Ranks: a final state or a failure, something a person waits for, everything else."""
_WAITED_FOR = frozenset(
    {
        EventKind.GATE_OPENED,
        EventKind.FROZEN,
        EventKind.PAUSED,
        EventKind.DRIFTED,
        EventKind.REMINDED,
        EventKind.ENVIRONMENT,
        EventKind.REFUSED,
    }
)


def posts_in(channel: str) -> Budget:
    return Budget(f"slack posts {channel}", per_minute=57, burst=2, reserve=1)


def rank_of(release: Release, pending: tuple[Announcement, ...]) -> int:
    """By the announcements not yet delivered: a card that waits for approval for an hour is urgent
    once, not with every pod that restarts meanwhile."""
    if release.phase.is_final or any(entry.event.kind is EventKind.FAILURE for entry in pending):
        return OVER
    asked = (
        entry.event.kind in _WAITED_FOR
        or (entry.event.by is not None and entry.event.kind is not EventKind.CREATED)
        for entry in pending
    )
    return WAITED_FOR if any(asked) else MOVING
