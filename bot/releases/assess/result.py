"""What an app runs once a release is over: observed, never taken from the plan."""

from __future__ import annotations

from bot.releases.facts.card_snapshot import versions_now
from bot.releases.facts.changes import Scale
from bot.releases.facts.release import Release


def reached(release: Release) -> str:
    """What the app is on after a release that reached its goal."""
    if isinstance(release.change, Scale):
        return release.to_version
    found = versions_now(release.card_snapshot)
    if not found:
        return f"{release.to_version}, with no pods"
    is_as_planned = release.plan is None or found == release.plan.version
    return release.to_version if is_as_planned else found


def fell_back_to(release: Release) -> tuple[str, bool]:
    """(what the app is on after a rollback or an abort, whether that is what was there before)."""
    before = release.from_version or "the previous version"
    found = versions_now(release.card_snapshot)
    if isinstance(release.change, Scale) or not found or release.plan is None:
        return before, True
    return (before, True) if found == release.plan.from_version else (found, False)
