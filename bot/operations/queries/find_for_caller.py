"""What a machine that comes through the API may read: a release of the apps that its token
covers."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.policy.callers import Caller
from bot.ports import Story
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Release

LINES_AT_ONCE = 200
_EVENTS = frozenset(EventKind) - {EventKind.WROTE}


def find_for_caller(context: Context, caller: Caller, release_id: str) -> Release | None:
    """None for one that is not there and for one of others alike. Raises UnknownSchema."""
    try:
        release = context.store.load(release_id)
    except KeyError:
        return None
    return release if caller.covers(release.target) else None


def read_story(context: Context, release: Release, after: str) -> Story:
    """Its events alone: decisions and writes are an auditor's."""
    story = context.store.story(release, after=after, limit=LINES_AT_ONCE)
    return replace(story, lines=tuple(one for one in story.lines if one[1].kind in _EVENTS))
