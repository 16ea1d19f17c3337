"""Nothing waits in silence: a pause, a drift or an outage is recorded again every hour, with what
ends it.

Gates remind by themselves (bot.releases.engine.gates), steps by their deadline
(bot.releases.engine.deadlines).
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decision import Decision
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase, Release

REMIND_EVERY_MS = 3_600_000
ASK_AN_ADMIN_AFTER_MS = 4 * REMIND_EVERY_MS


def remind(decision: Decision, now: int) -> Decision:
    """One line an hour from the beginning of the wait; later ones name what an admin may do."""
    release = decision.release
    since = _waits_since(release)
    if not since:
        return decision
    due = max(since, release.reminded_at) + REMIND_EVERY_MS
    if now < due:
        return decision.wake(due)
    text = _what_ends_it(release, f"{(now - since) // REMIND_EVERY_MS} h")
    if now - since >= ASK_AN_ADMIN_AFTER_MS:
        text += f"; an admin may end it with `rollout abort {release.target.typed} --force`"
    return (
        decision.changed(replace(release, reminded_at=now))
        .record(now, EventKind.REMINDED, text)
        .wake(now + REMIND_EVERY_MS)
    )


def _waits_since(release: Release) -> int:
    """0 where nothing waits, or something else reminds."""
    if release.phase.is_final:
        return 0
    if release.unreachable is not None:
        return release.unreachable.since
    if release.failed_write is not None:
        return release.failed_write.since
    return release.phase_since if release.phase in (Phase.PAUSED, Phase.DRIFTED) else 0


def _what_ends_it(release: Release, hours: str) -> str:
    if release.unreachable is not None:
        return (
            f"{release.target.cluster} has not answered for {hours} ({release.unreachable.why}):"
            " still holding"
        )
    if failed := release.failed_write:
        return f"for {hours} the API server has not taken {failed.what}: {failed.why}"
    if release.phase is Phase.DRIFTED:
        return (
            f"held for {hours} for a change made outside this release: adopt it, resume to write"
            " the release's values again, or abort"
        )
    why = f" ({release.cause.summary})" if release.cause else ""
    return f"paused for {hours}{why}: resume to continue, or abort to roll back"
