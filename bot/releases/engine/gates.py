"""Gates: waiting for people, waiting for time, and what happens when nobody replies."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.canary_comparison import baseline_of, judge
from bot.releases.assess.rollout import may_get_requests
from bot.releases.engine.decision import Decision, enter_phase, in_gate
from bot.releases.engine.evidence import (
    deciding,
    evidence,
    extended,
    has_evidence,
    judgement_of,
    may_extend,
    next_evidence_at,
    stop_for_answers,
    with_judgement,
)
from bot.releases.engine.judged_window import Found, has_both
from bot.releases.engine.outcome import Outcome, Proceed, RollBack, Stop
from bot.releases.engine.proxies import have_followed, observe_leaving
from bot.releases.engine.reconcile import conditions_hold
from bot.releases.engine.reminders import REMIND_EVERY_MS
from bot.releases.engine.standstill import is_held, next_window, stand_still
from bot.releases.engine.votes import is_enough
from bot.releases.facts.causes import Cause, FailureClass, Judgement, Verdict
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import ApprovalGate, Condition, Gate, HoldGate
from bot.releases.facts.release import GateState, Phase, Release
from bot.releases.planning.draining import PROXIES_FOLLOW_MS


def gates_here(release: Release) -> tuple[Gate, ...]:
    """Those of the step the release is in; before the first step, those of the start."""
    if release.plan is None:
        return ()
    if release.progress.at_step < 0:
        return release.plan.start
    return release.current_step.gates if release.current_step else ()


def open_gate(release: Release) -> Gate | None:
    """The gate at which the release waits."""
    gates = gates_here(release)
    return (
        gates[release.progress.gate.gate]
        if release.progress.gate is not None and release.progress.gate.gate < len(gates)
        else None
    )


def expires_at(release: Release, gate: ApprovalGate) -> int | None:
    """Milliseconds; pauses and times out of reach do not count. None while a freeze holds it."""
    return (
        release.progress.gate.opened_at + gate.expires_ms + release.progress.paused_ms
        if release.progress.gate is not None and release.standstill is None
        else None
    )


def is_expired(release: Release, gate: ApprovalGate, now: int) -> bool:
    ends = expires_at(release, gate)
    return ends is not None and release.unreachable is None and now >= ends


def hold_ends_at(release: Release, gate: HoldGate) -> int | None:
    """Milliseconds; None while the release does not hold (it is paused, for instance), or a freeze
    holds it."""
    is_holding = release.phase is Phase.HOLDING and release.standstill is None
    if release.progress.gate is None or not is_holding:
        return None
    return _hold_ends(release, gate, release.progress.gate)


def _hold_ends(release: Release, gate: HoldGate, state: GateState) -> int:
    answers = release.progress.answers
    longer = answers.extended_ms if answers is not None else 0
    return state.opened_at + gate.ms + release.progress.paused_ms + longer


def at_gates(decision: Decision, gates: tuple[Gate, ...], seen: Observation, now: int) -> Outcome:
    """Pass the gates of a step in order, as far as people and time allow. Proceed: all are
    passed."""
    if is_held(decision.release):
        return _held_by_freeze(decision, gates, seen, now)
    if gates and decision.release.progress.gate is None:
        decision = enter_gate(decision, gates, 0, seen, now)
    while (state := decision.release.progress.gate) is not None and state.gate < len(gates):
        gate = gates[state.gate]
        match gate:
            case ApprovalGate():
                outcome = at_approval(decision, gate, state, now)
            case HoldGate():
                outcome = _at_hold(decision, gate, state, seen, now)
        if not isinstance(outcome, Proceed):
            return outcome
        decision = enter_gate(outcome.decision, gates, state.gate + 1, seen, now)
    return Proceed(decision.changed(in_gate(decision.release, None)))


def _held_by_freeze(
    decision: Decision, gates: tuple[Gate, ...], seen: Observation, now: int
) -> Outcome:
    """The first gate opens and none is passed; a new version that proves worse is rolled back."""
    if gates and decision.release.progress.gate is None:
        decision = enter_gate(decision, gates, 0, seen, now)
    decision = stand_still(decision, now)
    state, gate = decision.release.progress.gate, open_gate(decision.release)
    if state is None or not isinstance(gate, HoldGate) or state.skipped:
        return Stop(decision)
    ends = _hold_ends(decision.release, gate, state)
    answers = deciding(evidence(decision.release)) if has_evidence(seen) or now >= ends else None
    if answers is not None and answers.verdict is Verdict.BAD:
        return stop_for_answers(decision, answers, now, asks=_asks(decision.release, gate, answers))
    if now < ends:
        both = has_both(decision.release, seen)
        next_at = next_evidence_at(decision.release, now) if both else None
        return Stop(decision.wake(ends).wake(next_at))
    verdict, detail = judge(state.baseline, seen, now - state.opened_at)
    if gate.judged and verdict is Verdict.BAD:
        decision = with_judgement(decision, Judgement(now, verdict, detail))
        return Stop(_ask_to_continue(decision, state, detail, "The candidate looks worse", now))
    return Stop(next_window(decision, seen, now).wake(now + gate.ms))


def at_approval(decision: Decision, gate: ApprovalGate, state: GateState, now: int) -> Outcome:
    if not is_enough(gate, state.votes):
        return _wait_for_people(decision, gate, state, now)
    who = ", ".join(vote.by.display_name for vote in state.votes)
    text = f"{gate.title or gate.name}: approved by {who}"
    decision = decision.record(now, EventKind.GATE_PASSED, text)
    return Proceed(_with_passed(decision, f"{gate.name}: {who}"))


def _at_hold(
    decision: Decision, gate: HoldGate, state: GateState, seen: Observation, now: int
) -> Outcome:
    ends = _hold_ends(decision.release, gate, state)
    if gate.is_rollback_window and not state.has_all_traffic:
        decision, state = _observe_all_traffic(decision, state, seen, now)
    if state.skipped:
        return Proceed(_with_passed(decision, gate.name))
    is_over = now >= ends
    found = deciding(evidence(decision.release)) if has_evidence(seen) or is_over else None
    if found is not None and found.verdict is Verdict.BAD:
        return stop_for_answers(decision, found, now, asks=_asks(decision.release, gate, found))
    if not is_over:
        both = has_both(decision.release, seen)
        next_at = next_evidence_at(decision.release, now) if both else None
        return Stop(decision.wake(ends).wake(next_at))
    return _at_end_of_hold(decision, gate, state, seen, now, found)


def _asks(release: Release, gate: HoldGate, found: Found) -> bool:
    """Whether people decide about a switch: as the catalog says, and where before and after are
    compared and something outside may be the reason."""
    if not gate.is_rollback_window:
        return False
    is_troubled = release.progress.trouble is not None
    known = evidence(release)
    fail_both = any(one.source == "probe" and one.is_away for one in known)
    is_certain = found.source == "probe" or (found.is_clear and not fail_both and not is_troubled)
    return release.rules.bluegreen.judge == "ask" or not is_certain


def _at_end_of_hold(
    decision: Decision,
    gate: HoldGate,
    state: GateState,
    seen: Observation,
    now: int,
    found: Found | None,
) -> Outcome:
    """Only good passes by itself: of the pods, and of their answers where the catalog has
    ``judge``."""
    judged = _judge(decision, state, seen, now, found) if gate.judged else Proceed(decision)
    if not isinstance(judged, Proceed) or found is None:
        return _passed(judged, gate)
    decision, strict = judged.decision, decision.release.rules.judge is not None
    is_too_little = found.verdict is Verdict.TOO_LITTLE
    if is_too_little and may_extend(decision.release):
        return Stop(extended(decision, found, now))
    if found.is_away or (is_too_little and strict):
        ask = "The judge is blind" if found.is_away else "Too little to say whether it is good"
        decision = with_judgement(decision, judgement_of(found, now))
        return Stop(_ask_to_continue(decision, state, found.detail, ask, now))
    for one in evidence(decision.release):
        if one.verdict is Verdict.GOOD or gate.is_rollback_window:
            decision = with_judgement(decision, judgement_of(one, now))
    return _passed(Proceed(decision), gate)


def _passed(outcome: Outcome, gate: HoldGate) -> Outcome:
    if not isinstance(outcome, Proceed):
        return outcome
    return Proceed(_with_passed(outcome.decision, gate.name))


def _observe_all_traffic(
    decision: Decision, state: GateState, seen: Observation, now: int
) -> tuple[Decision, GateState]:
    """Endpoints changed at the switch, proxies follow a moment later."""
    release = decision.release
    plan, services = release.plan, release.target.services
    is_switched = conditions_hold(release, seen, (Condition.SERVED_BY_CANDIDATE,))
    has_left = is_switched and not may_get_requests(seen, seen.stable, services)
    decision = observe_leaving(decision, now, has_left=has_left, after_ms=PROXIES_FOLLOW_MS)
    if plan is None or not have_followed(decision.release, now, after_ms=PROXIES_FOLLOW_MS):
        return decision, state
    state = replace(state, has_all_traffic=True)
    decision = decision.changed(in_gate(decision.release, state))
    text = f"every new request is on {plan.candidate} ({plan.version})"
    return decision.record(now, EventKind.STEP_DONE, text), state


def _with_passed(decision: Decision, passed: str) -> Decision:
    release = decision.release
    return decision.changed(replace(release, passed=(*release.passed, passed)))


def enter_gate(
    decision: Decision, gates: tuple[Gate, ...], index: int, seen: Observation | None, now: int
) -> Decision:
    """``seen`` None: no gate of these compares pods."""
    release = decision.release
    state = GateState(release.progress.at_step, index, now)
    if index >= len(gates):
        return decision.changed(in_gate(release, state))
    gate = gates[index]
    if isinstance(gate, HoldGate) and gate.judged and seen is not None:
        state = replace(state, baseline=baseline_of(seen))
    release = replace(release, progress=replace(release.progress, gate=state, paused_ms=0))
    if isinstance(gate, HoldGate):
        return decision.changed(enter_phase(release, Phase.HOLDING, now))
    is_start = release.progress.at_step < 0
    phase = Phase.AWAITING_APPROVAL if is_start else Phase.AWAITING_PROMOTION
    return decision.changed(enter_phase(release, phase, now)).record(
        now,
        EventKind.GATE_OPENED,
        f"waiting for {counted(gate.quorum, 'approval')}: {gate.title or gate.name}",
    )


def _wait_for_people(decision: Decision, gate: ApprovalGate, state: GateState, now: int) -> Outcome:
    expires = expires_at(decision.release, gate)
    if expires is None or state.unconfirmed:
        return Stop(decision)
    if gate.on_expiry == "abort" and now >= expires:
        summary = f"nobody approved within {gate.expires_ms // 60_000} min"
        return RollBack(decision, Cause(FailureClass.REQUEST, summary), Phase.EXPIRED)
    if gate.on_expiry == "abort":
        decision = decision.wake(expires)
    due = _next_reminder(decision.release, gate, state, expires)
    if due is None or now < due:
        return Stop(decision.wake(due))
    reminded = replace(state, reminded=state.reminded + 1)
    decision = decision.changed(in_gate(decision.release, reminded)).record(
        now, EventKind.REMINDED, f"still waiting for approval: {gate.title or gate.name}"
    )
    return Stop(decision.wake(_next_reminder(decision.release, gate, reminded, expires)))


def _next_reminder(
    release: Release, gate: ApprovalGate, state: GateState, expires: int
) -> int | None:
    """Those of the catalog, then one an hour once the question is overdue."""
    planned = release.rules.approvals.remind_ms
    if state.reminded < len(planned):
        return state.opened_at + release.progress.paused_ms + planned[state.reminded]
    if gate.on_expiry == "abort":
        return None
    return expires + (state.reminded - len(planned)) * REMIND_EVERY_MS


def _judge(
    decision: Decision, state: GateState, seen: Observation, now: int, found: Found | None
) -> Outcome:
    """The candidate's pods compared with stable's since the hold began."""
    verdict, detail = judge(state.baseline, seen, now - state.opened_at)
    if found is not None and found.verdict is Verdict.TOO_LITTLE:
        detail = f"{detail}; {found.detail}, too few to say more"
    decision = with_judgement(decision, Judgement(now, verdict, detail))
    if verdict is Verdict.GOOD:
        return Proceed(decision)
    ask = (
        "The candidate looks worse"
        if verdict is Verdict.BAD
        else "Too little to say whether it is good"
    )
    return Stop(_ask_to_continue(decision, state, detail, ask, now))


def _ask_to_continue(
    decision: Decision, state: GateState, detail: str, ask: str, now: int
) -> Decision:
    """Whoever resumes passes the hold."""
    release = in_gate(decision.release, replace(state, skipped=True))
    cause = Cause(FailureClass.VERDICT, detail)
    paused = replace(release, paused_from=Phase.HOLDING, cause=cause)
    text = f"{ask}: {detail}. Resume to continue, or abort to roll back."
    decision = decision.changed(enter_phase(paused, Phase.PAUSED, now))
    return decision.record(now, EventKind.PAUSED, text)
