"""A version that waits behind a release which then did not succeed is held until people decide: it
was queued on the assumption that the release in front would work.

Only versions are held, and only those asked for before the end: scaling, undo, restart and what was
sent afterwards never wait for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.releases.engine.decision import Decision, finish
from bot.releases.facts.ages import duration
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Deploy
from bot.releases.facts.events import EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import Held, Phase, Release
from bot.releases.facts.requests import Abort

ENDED = {
    Phase.ROLLED_BACK: "was rolled back",
    Phase.ABORTED: "was aborted",
    Phase.FAILED: "failed",
    Phase.REJECTED: "was rejected",
    Phase.EXPIRED: "expired",
}


def front_that_holds(release: Release, others: Sequence[Release]) -> Release | None:
    """The last release that ended badly while this one waited. ``others``: of the same app."""
    if not isinstance(release.change, Deploy) or release.held is not None:
        return None
    since = max(release.created_at, release.continued_at)
    place = (release.target.cluster, release.target.namespace)
    bad = [
        one
        for one in others
        if one.phase in ENDED
        and one.started_at
        and one.finished_at > since
        and not one.lets_next_start
        and (one.target.cluster, one.target.namespace) == place
    ]
    return max(bad, key=lambda one: one.finished_at, default=None)


def waits_behind(release: Release, front: Release) -> bool:
    """A version that ``front`` holds, or would hold if it ended badly now."""
    is_waiting = release.phase is Phase.QUEUED and isinstance(release.change, Deploy)
    return is_waiting and release.id != front.id and release.held is None


def hold(release: Release, front: Release, waiting: Sequence[Release], now: int) -> Decision:
    """``waiting``: those that one message is about, this one first; () where another asks."""
    ids, people = tuple(one.id for one in waiting), [one.requested_by for one in waiting]
    held = Held(front.id, now, ids=ids, people=tuple(dict.fromkeys(people)))
    ended = ENDED[front.phase]
    decision = Decision(replace(release, held=held, queued_behind=front.id, phase_since=now))
    if not waiting:
        text = f"held, because {front.id} {ended}: continue or drop it"
        return decision.record(now, EventKind.QUEUED, text).wake(_next(decision.release))
    names = ", ".join(f"{one.to_version} ({one.id})" for one in waiting)
    text = f"{front.id} {ended}, so {names} {'waits' if len(waiting) == 1 else 'wait'}"
    return decision.record(now, EventKind.HELD, text).wake(_next(decision.release))


def stay_held(release: Release, now: int, freeze: str = "") -> Decision:
    """Reminds as an approval does, and drops the release when the time to decide is over, under a
    freeze too. ``freeze``: the one that keeps it from continuing, in words."""
    held = release.held
    if held is None:
        return Decision(release)
    if now >= _ends_at(release, held):
        waited = duration(release.rules.approvals.expires_ms)
        return _dropped(release, f"nobody decided within {waited} after {held.behind} ended", now)
    if bool(freeze) != held.frozen:
        return _frozen(release, replace(held, frozen=bool(freeze)), freeze, now)
    decision = Decision(release)
    times = _reminders(release, held)
    if held.reminded < len(times) and now >= times[held.reminded]:
        reminded = replace(held, reminded=held.reminded + 1)
        text = f"{release.to_version} still waits since {held.behind} ended: continue or drop it"
        decision = decision.changed(replace(release, held=reminded))
        decision = decision.record(now, EventKind.REMINDED, text)
    return decision.wake(_next(decision.release))


def _frozen(release: Release, held: Held, freeze: str, now: int) -> Decision:
    decision = Decision(replace(release, held=held)).wake(now)
    version = release.to_version
    if freeze:
        return decision.record(now, EventKind.QUEUED, f"{version} stays held: {freeze}")
    text = f"the freeze is over, and {version} still waits: continue or drop it"
    return decision.record(now, EventKind.REMINDED, text)


def drop_of_removed_app(release: Release, now: int) -> Decision:
    """The plan of a release needs the app's catalog entry."""
    return _dropped(release, f"{release.target.app} is no longer in the catalog", now)


def _dropped(release: Release, why: str, now: int) -> Decision:
    dropped = replace(release, cause=Cause(FailureClass.REQUEST, why))
    return finish(Decision(dropped), Phase.EXPIRED, now, f"{release.to_version} was dropped: {why}")


def continue_held(decision: Decision, by: Person, now: int) -> Decision:
    """It takes its place in the line again."""
    release = replace(decision.release, held=None, continued_at=now, queued_behind="")
    text = f"{by.display_name} lets {release.to_version} continue"
    return decision.changed(release).record(now, EventKind.RESUMED, text, by=by).wake(now)


def drop_held(decision: Decision, request: Abort, now: int) -> Decision:
    by = request.by
    text = f"dropped by {by.display_name}" + (f": {request.reason}" if request.reason else "")
    cause = Cause(FailureClass.REQUEST, text)
    ended = decision.changed(replace(decision.release, cause=cause))
    return finish(ended, Phase.ABORTED, now, text, by=by)


def held_until(release: Release) -> int | None:
    return _ends_at(release, release.held) if release.held is not None else None


def _ends_at(release: Release, held: Held) -> int:
    return held.since + release.rules.approvals.expires_ms


def _reminders(release: Release, held: Held) -> tuple[int, ...]:
    """Those of approvals, else one half way."""
    approvals = release.rules.approvals
    planned = approvals.remind_ms or (approvals.expires_ms // 2,)
    return tuple(held.since + after for after in planned)


def _next(release: Release) -> int | None:
    held = release.held
    if held is None:
        return None
    later = _reminders(release, held)[held.reminded :]
    return min((*later, _ends_at(release, held)))
