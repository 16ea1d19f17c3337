"""respond(release, request, now): what a person's request does to a release. The caller has checked
who may ask.

Nothing here touches the cluster: it changes the record, and the next decision acts on it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Literal

from bot.releases.assess.handover import accepts_less
from bot.releases.engine.decision import Decision, enter_phase, finish, in_gate, not_counting
from bot.releases.engine.drift import after_drift
from bot.releases.engine.fleet_requests import respond_for_fleet
from bot.releases.engine.gates import is_expired, open_gate
from bot.releases.engine.outcome import RollBack
from bot.releases.engine.queue import continue_held, drop_held
from bot.releases.engine.standstill import is_held
from bot.releases.engine.transitions import begin_rollback, with_roll_paused
from bot.releases.engine.votes import adds_nothing, is_enough
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Reapply
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.people import Person, Vote
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import GateState, Phase, Progress, Release
from bot.releases.facts.requests import (
    Abort,
    Adopt,
    Approve,
    Finish,
    Pause,
    Promote,
    Refuse,
    Reject,
    Request,
    Resume,
)

REFUSED_AGAIN_MS = 15_000
_WAITING = (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)


def respond(release: Release, request: Request, now: int) -> Decision:
    """A Decision with a ``refusal`` line where the request does not fit the release's state; then
    nothing is changed."""
    decision = Decision(release)
    if release.phase.is_final:
        return _refuse(decision, f"{release.id} is over: {release.phase.words}.")
    if release.fleet is not None:
        answered = respond_for_fleet(decision, release.fleet, request, now)
        if answered is not None:
            return answered
    if isinstance(request, Approve | Promote | Finish) and (line := _held_words(release)):
        return _refuse(decision, line)
    return _grant(decision, request, now)


def _held_words(release: Release) -> str:
    if release.standstill is None or release.freeze is None or not is_held(release):
        return ""
    return (
        f"{release.id} stands still: {release.freeze.words}. It continues after the freeze; an"
        " abort rolls it back now."
    )


def _refuse(decision: Decision, line: str) -> Decision:
    return replace(decision, refusal=line)


def _grant(decision: Decision, request: Request, now: int) -> Decision:
    match request:
        case Approve():
            return _approve(decision, request, now)
        case Reject():
            return _reject(decision, request, now)
        case Promote():
            return _promote(decision, request, now)
        case Finish():
            return _finish_hold(decision, request, now)
        case Pause():
            return _pause(decision, request, now)
        case Resume():
            return _resume(decision, request, now)
        case Abort():
            return _abort(decision, request, now)
        case Adopt():
            return _adopt(decision, request, now)
        case Refuse():
            return _refused_by_cluster(decision, request.why, now)


def _refused_by_cluster(decision: Decision, why: str, now: int) -> Decision:
    release = decision.release
    if release.rollback is not None and release.has_written:
        return _still_refused(decision, why, now)
    cause = Cause(FailureClass.REFUSED, why)
    recorded = decision.record(now, EventKind.FAILURE, why)
    if not release.has_written:
        return finish(recorded.changed(replace(release, cause=cause)), Phase.FAILED, now, why)
    if release.current_step is not None and release.current_step.committed:
        return _refused_past_return(decision, cause, now)
    return begin_rollback(RollBack(recorded, cause, Phase.ROLLED_BACK), now)


def _refused_past_return(decision: Decision, cause: Cause, now: int) -> Decision:
    """Past the point of no return a refusal takes nobody back: it is recorded once, and the write
    is tried again."""
    again = decision.wake(now + REFUSED_AGAIN_MS)
    if decision.release.cause == cause:
        return again
    refused = again.changed(replace(decision.release, cause=cause))
    return refused.record(now, EventKind.FAILURE, cause.summary)


def _still_refused(decision: Decision, why: str, now: int) -> Decision:
    """The rollback itself is refused: people must act, so each reason is recorded once, and the
    write is tried again. The cause of the rollback stays."""
    release = decision.release
    cause = release.cause or Cause(FailureClass.REQUEST, "rolled back")
    obstacle = f"the rollback is refused: {why}"
    again = decision.wake(now + REFUSED_AGAIN_MS)
    if obstacle in cause.evidence:
        return again
    release = replace(release, cause=replace(cause, evidence=(*cause.evidence, obstacle)))
    return again.changed(release).record(now, EventKind.FAILURE, obstacle)


def _who(request: Pause | Abort | Reject) -> str:
    return request.by.display_name + (f" ({request.note})" if request.note else "")


def _approve(decision: Decision, request: Approve, now: int) -> Decision:
    release, by = decision.release, request.by
    gate, state = open_gate(release), release.progress.gate
    if not isinstance(gate, ApprovalGate) or state is None or release.phase not in _WAITING:
        return _refuse(decision, f"Nothing to approve: {release.id} is {release.phase.words}.")
    if line := _not_the_gate_shown(release, gate, request.gate, request.plan_hash):
        return _refuse(decision, line)
    vote = Vote(by, now, tuple(one for one in gate.voters.named if one in request.groups))
    if line := _vote_that_does_not_count(release, gate, state, vote, now):
        return _refuse(decision, line)
    votes = (*state.votes, vote)
    release = in_gate(release, replace(state, votes=votes))
    text = f"{by.display_name} approved {gate.title or gate.name} ({len(votes)} of {gate.quorum})"
    return decision.changed(release).record(now, EventKind.VOTED, text, by=by).wake(now)


def _not_the_gate_shown(
    release: Release, gate: ApprovalGate, gate_name: str, plan_hash: str
) -> str:
    if gate_name != gate.name:
        return f"That button is out of date: {release.id} now waits for {gate.title or gate.name}."
    if release.plan is None or plan_hash != release.plan.hash:
        return _plan_changed(release)
    return ""


def _vote_that_does_not_count(
    release: Release, gate: ApprovalGate, state: GateState, vote: Vote, now: int
) -> str:
    what = gate.title or gate.name
    if any(one.by == vote.by for one in state.votes):
        return "You have already approved this."
    # the decision that ends the release may come a moment later
    if gate.on_expiry == "abort" and is_expired(release, gate, now):
        return f"Too late: the time to {what} is over, and {release.id} is rolling back."
    if is_enough(gate, state.votes):  # two people at once: one approval, one effect
        who = ", ".join(one.by.display_name for one in state.votes)
        return f"Nothing to approve: {what} was approved by {who}."
    if adds_nothing(gate, state.votes, vote):
        return "Enough of your groups approved: someone of another group is still needed."
    return ""


def _reject(decision: Decision, request: Reject, now: int) -> Decision:
    release = decision.release
    gate = open_gate(release)
    if (
        not isinstance(gate, ApprovalGate)
        or request.gate != gate.name
        or release.phase not in _WAITING
    ):
        return _refuse(
            decision,
            f"Nothing to reject: {release.id} is {release.phase.words}.",
        )
    if release.plan is None or request.plan_hash != release.plan.hash:
        return _refuse(decision, _plan_changed(release))
    summary = f"rejected by {_who(request)}" + (f": {request.reason}" if request.reason else "")
    cause = Cause(FailureClass.REQUEST, summary)
    recorded = decision.record(now, EventKind.CANCELLED, summary, by=request.by)
    if not release.has_written:
        return finish(
            recorded.changed(replace(release, cause=cause)),
            Phase.REJECTED,
            now,
            summary,
            by=request.by,
        )
    return begin_rollback(RollBack(recorded, cause, Phase.REJECTED), now)


def hold_name(release: Release) -> str:
    """Which hold the release is in: what "Go on now" carries, so that a click on a card that was
    not yet redrawn ends no later one."""
    gate = open_gate(release)
    if not isinstance(gate, HoldGate) or release.plan is None:
        return ""
    leg = "forward" if release.rollback is None else "back"
    return f"{release.plan.hash}/{leg}/{release.progress.at_step}/{gate.name}"


def _promote(decision: Decision, request: Promote, now: int) -> Decision:
    """Typed or clicked "Promote": at the promotion's gate it is the approval; in a hold it ends the
    hold."""
    release = decision.release
    gate = open_gate(release)
    if request.at and request.at not in (hold_name(release), capacity_name(release)):
        return _refuse(decision, _from_before(release))
    if isinstance(gate, ApprovalGate) and release.plan is not None:
        approve = Approve(request.by, gate.name, release.plan.hash, request.groups)
        return _approve(decision, approve, now)
    if isinstance(gate, HoldGate) and release.phase is Phase.HOLDING:
        return _finish_hold(decision, request, now)
    if release.rollback is None and capacity_name(release):
        return _accept_less(decision, request.by, now)
    return _refuse(
        decision,
        f"{release.id} has nothing to promote now: {release.phase.words}.",
    )


def _accept_less(decision: Decision, by: Person, now: int) -> Decision:
    """Stable takes over with what is ready."""
    release = decision.release
    text = f"{by.display_name} hands over without waiting: {release.progress.waits_for}"
    progress = replace(release.progress, accepts_less=True)
    return (
        decision.changed(replace(release, progress=progress))
        .record(now, EventKind.GATE_PASSED, text, by=by)
        .wake(now)
    )


def _from_before(release: Release) -> str:
    return f"That button is out of date: {release.id} has moved on. Use the latest card."


def _finish_hold(decision: Decision, request: Promote | Finish, now: int) -> Decision:
    release, by = decision.release, request.by
    gate = open_gate(release)
    if request.at and request.at != hold_name(release):
        return _refuse(decision, _from_before(release))
    if (
        not isinstance(gate, HoldGate)
        or release.progress.gate is None
        or release.phase is not Phase.HOLDING
    ):
        return _refuse(
            decision,
            f"{release.id} is not holding: {release.phase.words}.",
        )
    if release.progress.gate.skipped:  # ten clicks end it once, and tell it once
        return _refuse(decision, f"The {gate.title or 'hold'} has already ended.")
    least = release.progress.gate.opened_at + 30_000
    if gate.is_rollback_window and now < least:
        return _refuse(
            decision,
            "Old connections are still draining. The window can end 30 s after the switch.",
        )
    release = in_gate(release, replace(release.progress.gate, skipped=True, skipped_by=by))
    text = f"{by.display_name} ended the {gate.title or 'hold'} early"
    return decision.changed(release).record(now, EventKind.GATE_PASSED, text, by=by).wake(now)


def _pause(decision: Decision, request: Pause, now: int) -> Decision:
    release = decision.release
    if release.phase is Phase.PAUSED:
        return _refuse(decision, f"{release.id} is already paused.")
    if release.rollback is not None:
        return _refuse(decision, f"{release.id} is rolling back and cannot be paused.")
    if release.phase in (Phase.QUEUED, Phase.AWAITING_APPROVAL, Phase.DRIFTED):
        return _refuse(
            decision,
            f"{release.id} is {release.phase.words}: there is nothing to pause.",
        )
    text = f"paused by {_who(request)}"
    release = replace(with_roll_paused(release), paused_from=release.phase)
    if request.note:  # the card shows the cause of a pause
        release = replace(release, cause=release.cause or Cause(FailureClass.REQUEST, text))
    return (
        decision.changed(enter_phase(release, Phase.PAUSED, now))
        .record(now, EventKind.PAUSED, text, by=request.by)
        .wake(now)
    )


def stop_name(release: Release) -> str:
    """Which pause or drift the release stands at: what Resume and Adopt carry, so that nobody waves
    through what they have not seen."""
    if release.held is not None:
        return f"held/{release.held.since}"
    if release.phase not in (Phase.PAUSED, Phase.DRIFTED):
        return ""
    seen = hashlib.sha256(repr((release.drift, release.cause)).encode()).hexdigest()[:8]
    return f"{release.phase.value}/{release.phase_since}/{seen}"


def stand_of(release: Release) -> str:
    """The gate, pause or drift where the release waits for people."""
    gate = open_gate(release)
    if isinstance(gate, ApprovalGate) and release.plan is not None:
        return f"{release.plan.hash}/{release.progress.at_step}/{gate.name}"
    return stop_name(release) or hold_name(release)


def _resume(decision: Decision, request: Resume, now: int) -> Decision:
    release, by = decision.release, request.by
    if request.at and request.at != stop_name(release):
        return _refuse(decision, _from_before(release))
    if release.held is not None:
        return continue_held(decision, by, now)
    if release.phase is Phase.DRIFTED:
        return _write_again(decision, by, now)
    if release.phase is not Phase.PAUSED:
        return _refuse(decision, f"{release.id} is not paused: {release.phase.words}.")
    since = now - release.phase_since
    back_to = release.paused_from or Phase.PROGRESSING
    seen_failing = release.cause.pods if release.cause else ()
    release = replace(
        release, paused_from=None, cause=None, progress=not_counting(release.progress, since),
        tolerated=tuple(dict.fromkeys((*release.tolerated, *seen_failing))),
    )  # fmt: skip
    if decision.release.cause and decision.release.cause.failure is FailureClass.DEADLINE:
        # resuming means to wait as long again
        release = replace(release, progress=replace(release.progress, began_at=now, paused_ms=0))
    decision = decision.changed(enter_phase(release, back_to, now))
    return decision.record(now, EventKind.RESUMED, f"resumed by {by.display_name}", by=by).wake(now)


def _write_again(decision: Decision, by: Person, now: int) -> Decision:
    """After drift: our values once more. What was deleted cannot be written again."""
    release = decision.release
    gone = next((d for d in release.drift if d.field is Field.EXISTS), None)
    if gone is not None:
        return _refuse(
            decision,
            (
                f"{gone.kind} {gone.name} was {gone.observed}, so {release.id} cannot continue."
                " Abort it."
            ),
        )
    claim = next((d for d in release.drift if d.field is Field.CLAIM), None)
    if claim is not None:
        return _refuse(
            decision,
            f"{claim.name} is claimed by release {claim.observed}, so {release.id} cannot"
            " continue. Abort it: what the other release holds is left alone.",
        )
    if release.progress.at_step < 0:
        return _refuse(
            decision,
            f"{release.id} has written nothing yet. Adopt the change to plan again, or abort.",
        )
    recorded = decision.record(
        now, EventKind.RESUMED, f"{by.display_name} asked for the release's values again", by=by
    )
    met = _met(release, "rewrite")
    return recorded.changed(after_drift(met, now)).wake(now)


def _met(release: Release, how: Literal["rewrite", "adopt"]) -> Release:
    drifted = {(d.kind, d.name, d.field) for d in release.drift}
    intents = tuple(
        replace(i, pending=how) if (i.kind, i.name, i.field) in drifted else i
        for i in release.intents
    )
    return replace(release, intents=intents)


def _plan_again(decision: Decision, by: Person, now: int) -> Decision:
    """Approvals given so far were for another plan: they are void, and so is every button that
    carries its hash."""
    release = decision.release
    changed = "; ".join(
        f"{d.name}, {d.field.value}: {d.intended} became {d.observed}" for d in release.drift
    )
    release = replace(
        release,
        plan=None,
        as_found=None,
        intents=(),
        drift=(),
        progress=Progress(at_step=-1, began_at=release.progress.began_at),
        drifted_from=None,
        plan_changed=changed[:400],
        changed_by=by,
    )
    recorded = decision.changed(enter_phase(release, Phase.AWAITING_APPROVAL, now))
    return recorded.record(
        now, EventKind.DRIFT_ENDED, f"{by.display_name} adopted the change; planning again", by=by
    ).wake(now)


def _plan_changed(release: Release) -> str:
    what = f": {release.plan_changed}" if release.plan_changed else ""
    return (
        f"That button is out of date: the plan of {release.id} changed{what}. Use the latest card."
    )


def _abort(decision: Decision, request: Abort, now: int) -> Decision:
    if request.at.startswith("held/") and request.at != stop_name(decision.release):
        return _refuse(decision, _from_before(decision.release))
    if decision.release.held is not None:
        return drop_held(decision, request, now)
    release = replace(decision.release, lets_next_start=request.then == "start")
    decision = decision.changed(release)
    back_at_once = release.phase is Phase.HOLDING and is_in_window(
        release
    )  # after a switch people roll back, they abort nothing
    word = "rolled back" if back_at_once and not request.force else "aborted"
    why = f"{word} by {_who(request)}" + (f": {request.reason}" if request.reason else "")
    cause = Cause(FailureClass.REQUEST, why)
    recorded = decision.record(now, EventKind.CANCELLED, why, by=request.by)
    if request.force:
        forced = replace(release, cause=cause)
        text = (
            f"{why}, by force: the cluster was left as it is now; look at"
            f" {release.target.deployment}"
        )
        return finish(recorded.changed(forced), Phase.ABORTED, now, text, by=request.by)
    if release.rollback is not None:
        return _hurry(decision, request, now)
    if not release.has_written:
        ended = recorded.changed(replace(release, cause=cause))
        text = f"{why}{_applied_before(release)}"
        return finish(ended, Phase.ABORTED, now, text, by=request.by)
    ends_as = Phase.ROLLED_BACK if back_at_once else Phase.ABORTED
    return begin_rollback(RollBack(recorded, cause, ends_as), now)


def _applied_before(release: Release) -> str:
    change = release.change
    if not isinstance(change, Reapply) or not change.applied:
        return ""
    return f". Applied before: {change.account}"


def capacity_name(release: Release) -> str:
    """The wait for capacity that the release stands at, where a person may hand over to what is
    ready; "" elsewhere."""
    step = release.current_step
    if step is None or not step.waits_for_capacity or not release.progress.waits_for:
        return ""
    if release.phase not in (Phase.PROGRESSING, Phase.ROLLING_BACK) or accepts_less(release):
        return ""
    return f"capacity/{release.progress.at_step}/{release.progress.began_at}"


def _hurry(decision: Decision, request: Abort, now: int) -> Decision:
    """Aborted once more while stable is raised first: it takes over with what is ready."""
    release, by, stands_at = decision.release, request.by, capacity_name(decision.release)
    is_meant = request.at in ("", stands_at)
    if release.rollback is None or not stands_at or not is_meant:
        return _refuse(decision, f"{release.id} is already rolling back.")
    hurried = replace(
        release,
        rollback=replace(release.rollback, at_once=True),
        progress=Progress(at_step=-1, began_at=now),
    )
    text = f"{_who(request)} rolls back without waiting: {release.progress.waits_for}"
    return Decision(hurried).record(now, EventKind.CANCELLED, text, by=by).wake(now)


def is_in_window(release: Release) -> bool:
    gate = open_gate(release)
    return isinstance(gate, HoldGate) and gate.is_rollback_window


def _adopt(decision: Decision, request: Adopt, now: int) -> Decision:
    """Before the first step, plan again from what is there now. Later, continue with replicas that
    someone set; anything else stays as it is, and the release's other writes are rolled back."""
    release, by = decision.release, request.by
    if release.phase is not Phase.DRIFTED:
        return _refuse(decision, f"{release.id} has not drifted. There is nothing to adopt.")
    if request.at and request.at != stop_name(release):
        return _refuse(decision, _from_before(release))
    is_deleted = any(d.field is Field.EXISTS for d in release.drift)
    if release.progress.at_step < 0 and release.rollback is None and not is_deleted:
        return _plan_again(decision, by, now)
    recorded = decision.record(
        now, EventKind.DRIFT_ENDED, f"{by.display_name} adopted the change", by=by
    )
    if all(d.field is Field.REPLICAS for d in release.drift):
        met = replace(_met(release, "adopt"), changed_by=by)
        return recorded.changed(after_drift(met, now)).wake(now)
    return _keep_outside_change(recorded, by, now)


def _keep_outside_change(decision: Decision, by: Person, now: int) -> Decision:
    release = _without_drifted_intents(decision.release)
    cause = Cause(FailureClass.DRIFT, f"{by.display_name} kept a change made outside this release")
    kept = decision.changed(release)
    if release.has_written:
        return begin_rollback(RollBack(kept, cause, Phase.ABORTED), now)
    kept = kept.changed(replace(release, cause=cause))
    return finish(kept, Phase.ABORTED, now, cause.summary, by=by)


def _without_drifted_intents(release: Release) -> Release:
    replaced = {(d.kind, d.name) for d in release.drift if d.field is Field.EXISTS}
    drifted = {(d.kind, d.name, d.field) for d in release.drift}
    intents = tuple(
        i
        for i in release.intents
        if (i.kind, i.name, i.field) not in drifted and (i.kind, i.name) not in replaced
    )
    return replace(release, intents=intents, drift=())
