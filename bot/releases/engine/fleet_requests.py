"""What a person's request does to a fleet release. What is not here is answered as for any release:
votes, pause, resume, the end of a soak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.releases.engine.decision import Decision, enter_phase, finish, in_gate
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.counts import some_of
from bot.releases.facts.events import EventKind
from bot.releases.facts.fleet import SHOWN, Fleet
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Rollback
from bot.releases.facts.requests import Abort, Finish, Refuse, Reject, Request


def respond_for_fleet(
    decision: Decision, fleet: Fleet, request: Request, now: int
) -> Decision | None:
    """None where it is answered as for any release."""
    match request:
        case Abort(by=by, force=True):
            text = f"aborted by {by.display_name}, by force: its parts continue by themselves"
            return _ended(decision, Phase.ABORTED, text, by, now)
        case Abort(by=by, reason=reason):
            return _back(decision, fleet, by, _because("aborted", by, reason), Phase.ABORTED, now)
        case Reject(by=by, reason=reason):
            why = _because("rejected", by, reason)
            return _back(decision, fleet, by, why, Phase.REJECTED, now)
        case Finish():
            return _finish(decision, fleet, request, now)
        case Refuse(why=why):
            recorded = decision.record(now, EventKind.REFUSED, why)
            return _ended(recorded, Phase.FAILED, why, None, now)
        case _:
            return None


def begin_way_back(decision: Decision, cause: Cause, ends_as: Phase, now: int) -> Decision:
    """Everything that began goes back, the last wave first."""
    release = replace(in_gate(decision.release, None), cause=cause, rollback=Rollback(ends_as))
    decision = decision.changed(enter_phase(release, Phase.ROLLING_BACK, now))
    waves = release.fleet.waves if release.fleet is not None else ()
    begun = [one for one in reversed(waves) if _has_begun(release.fleet, one.clusters)]
    where = ", then ".join(some_of(one.clusters, SHOWN) for one in begun)
    return decision.record(now, EventKind.ROLLING_BACK, f"rolling back all: {where}").wake(now)


def _has_begun(fleet: Fleet | None, clusters: Sequence[str] = ()) -> bool:
    parts = fleet.parts if fleet is not None else ()
    return any(one.release for one in parts if not clusters or one.cluster in clusters)


def _because(word: str, by: Person, reason: str) -> str:
    return f"{word} by {by.display_name}" + (f": {reason}" if reason else "")


def _back(
    decision: Decision, fleet: Fleet, by: Person, why: str, ends_as: Phase, now: int
) -> Decision:
    release = decision.release
    if release.rollback is not None:
        return replace(decision, refusal=f"{release.id} is already rolling back.")
    recorded = decision.record(now, EventKind.CANCELLED, why, by=by)
    if not _has_begun(fleet):
        return _ended(recorded, ends_as, why, by, now)
    return begin_way_back(recorded, Cause(FailureClass.REQUEST, why), ends_as, now)


def _finish(decision: Decision, fleet: Fleet, request: Finish, now: int) -> Decision:
    """Here: what is done stays, and nothing else begins."""
    release, by = decision.release, request.by
    is_asked = release.phase is Phase.PAUSED and release.cause is not None
    if not (is_asked or fleet.is_catching_up) or release.rollback is not None:
        return replace(decision, refusal=f"{release.id} does not ask: {release.phase.words}.")
    on = [one.cluster for one in fleet.parts if one.state == "done"]
    off = [one.cluster for one in fleet.parts if one.cluster not in on]
    stays = f"{release.to_version} stays in {some_of(on, SHOWN) or 'no cluster'}"
    why = _because("finished", by, request.reason)
    text = f"{why}; {stays}, not in {some_of(off, SHOWN)}"
    return _ended(decision, Phase.ABORTED, text, by, now)


def _ended(decision: Decision, phase: Phase, text: str, by: Person | None, now: int) -> Decision:
    failure = FailureClass.REFUSED if by is None else FailureClass.REQUEST
    ended = decision.changed(replace(decision.release, cause=Cause(failure, text)))
    return finish(ended, phase, now, text, by=by)
