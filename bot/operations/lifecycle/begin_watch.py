"""A release that has succeeded is watched for a while: it is over, holds no lock, and the next
release of its app ends the watch."""

from __future__ import annotations

from bot.operations.context import Context
from bot.releases.facts.changes import Deploy, Reapply
from bot.releases.facts.release import Phase, Release

KEPT_LONGER_MS = 86_400_000
FIRST_AFTER_MS = 1_000


def begin_watch(context: Context, before: Release, release: Release) -> None:
    """Before the save of its end: twice is once."""
    succeeds = release.phase is Phase.SUCCEEDED and not before.phase.is_final
    if not succeeds or not release.rules.watch_after_ms or not _brings_a_version(release):
        return
    ttl_ms = release.rules.watch_after_ms + KEPT_LONGER_MS
    context.store.put_new(watch_key(release.id), "{}", ttl_ms=ttl_ms)
    context.queue.wake(f"watch:{release.id}", context.store.now() + FIRST_AFTER_MS)


def watch_key(release_id: str) -> str:
    """Where the store keeps what a watch has seen."""
    return f"watch:{release_id}"


def _brings_a_version(release: Release) -> bool:
    change = release.change
    if isinstance(change, Reapply):
        return change.template is not None
    return isinstance(change, Deploy)
