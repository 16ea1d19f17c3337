"""Gates: what waits for people and what waits for time, and what happens when nobody answers."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.canary_comparison import baseline_of, judge
from bot.releases.engine.decision import Decision, enter_phase, in_gate
from bot.releases.engine.reminders import REMIND_EVERY_MS
from bot.releases.facts.causes import Cause, FailureClass, Judgement, Verdict
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import ApprovalGate, Gate, HoldGate
from bot.releases.facts.release import GateState, Phase, Progress, Release, Rollback


def gates_here(release: Release) -> tuple[Gate, ...]:
    """Those of the step the release is in; before the first step, those of the start."""
    if release.plan is None:
        return ()
    if release.progress.at_step < 0:
        return release.plan.start
    return (
        release.steps[release.progress.at_step].gates
        if release.progress.at_step < len(release.steps)
        else ()
    )


def open_gate(release: Release) -> Gate | None:
    """The gate the release stands at."""
    gates = gates_here(release)
    return (
        gates[release.progress.gate.gate]
        if release.progress.gate is not None and release.progress.gate.gate < len(gates)
        else None
    )


def expires_at(release: Release, gate: ApprovalGate) -> int | None:
    """Milliseconds; pauses and times out of reach do not count."""
    return (
        release.progress.gate.opened_at + gate.expires_ms + release.progress.paused_ms
        if release.progress.gate is not None
        else None
    )


def is_expired(release: Release, gate: ApprovalGate, now: int) -> bool:
    ends = expires_at(release, gate)
    return ends is not None and release.unreachable is None and now >= ends


def hold_ends_at(release: Release, gate: HoldGate) -> int | None:
    """Milliseconds; None while the release does not hold (it is paused, for instance)."""
    if release.progress.gate is None or release.phase is not Phase.HOLDING:
        return None
    return release.progress.gate.opened_at + gate.ms + release.progress.paused_ms


def at_gates(
    decision: Decision, gates: tuple[Gate, ...], now: int, seen: Observation
) -> tuple[Decision, bool]:
    """Stand at the gates of a step in order. True: all are passed. An expiry with `abort` turns the
    leg (at_step -1)."""
    if not gates:
        return decision, True
    if decision.release.progress.gate is None:
        decision = _open(decision, gates, 0, now, seen)
    while True:
        release = decision.release
        state = release.progress.gate
        if state is None or state.gate >= len(gates):
            return decision.changed(in_gate(release, None)), True
        gate = gates[state.gate]
        match gate:
            case ApprovalGate():
                if len(state.votes) >= gate.quorum:
                    who = ", ".join(vote.by.name or vote.by.user for vote in state.votes)
                    decision = decision.record(
                        now, EventKind.GATE_PASSED, f"{gate.title or gate.name}: approved by {who}"
                    )
                    decision = _next(decision, gates, f"{gate.name}: {who}", now, seen)
                    continue
                return _waiting_for_people(decision, gate, state, now), False
            case HoldGate():
                ends = state.opened_at + gate.ms + release.progress.paused_ms
                if not state.skipped and now < ends:
                    return decision.wake(ends), False
                if gate.judged and not state.skipped:
                    decision, go_on = _verdict(decision, state, seen, now)
                    if not go_on:
                        return decision, False
                decision = _next(decision, gates, gate.name, now, seen)
                continue


def _open(
    decision: Decision, gates: tuple[Gate, ...], index: int, now: int, seen: Observation
) -> Decision:
    release = decision.release
    if index >= len(gates):
        return decision.changed(in_gate(release, GateState(release.progress.at_step, index, now)))
    gate = gates[index]
    baseline = baseline_of(seen) if isinstance(gate, HoldGate) and gate.judged else None
    at = GateState(release.progress.at_step, index, now, baseline=baseline)
    release = replace(release, progress=replace(release.progress, gate=at, paused_ms=0))
    match gate:
        case ApprovalGate():
            phase = (
                Phase.AWAITING_APPROVAL
                if release.progress.at_step < 0
                else Phase.AWAITING_PROMOTION
            )
            decision = decision.changed(enter_phase(release, phase, now))
            return decision.record(
                now,
                EventKind.GATE_OPENED,
                f"waiting for {counted(gate.quorum, 'approval')}: {gate.title or gate.name}",
            )
        case HoldGate():
            return decision.changed(enter_phase(release, Phase.HOLDING, now))


def _next(
    decision: Decision, gates: tuple[Gate, ...], passed: str, now: int, seen: Observation
) -> Decision:
    release = decision.release
    index = release.progress.gate.gate + 1 if release.progress.gate else len(gates)
    decision = decision.changed(replace(release, passed=(*release.passed, passed)))
    return _open(decision, gates, index, now, seen)


def _waiting_for_people(
    decision: Decision, gate: ApprovalGate, state: GateState, now: int
) -> Decision:
    release = decision.release
    expires = expires_at(release, gate)
    if expires is None or now < expires:
        return decision.wake(expires)
    if gate.on_expiry == "abort":
        cause = Cause(
            FailureClass.REQUEST, f"nobody approved within {gate.expires_ms // 60_000} min"
        )
        release = replace(
            release,
            cause=cause,
            rollback=Rollback(Phase.EXPIRED),
            progress=Progress(at_step=-1, began_at=now),
        )
        return decision.changed(release)
    due = expires + state.reminded * REMIND_EVERY_MS
    if now >= due:
        count = state.reminded + 1
        release = in_gate(release, replace(state, reminded=count))
        decision = decision.changed(release).record(
            now, EventKind.REMINDED, f"still waiting for approval: {gate.title or gate.name}"
        )
        due = expires + count * REMIND_EVERY_MS
    return decision.wake(due)


def _verdict(
    decision: Decision, state: GateState, seen: Observation, now: int
) -> tuple[Decision, bool]:
    verdict, detail = judge(state.baseline, seen, now - state.opened_at)
    release = decision.release
    release = replace(release, judgements=(*release.judgements, Judgement(now, verdict, detail)))
    decision = decision.changed(release).record(
        now, EventKind.JUDGED, f"{verdict.value.replace('_', ' ')}: {detail}"
    )
    if verdict is Verdict.GOOD:
        return decision, True
    cause = Cause(FailureClass.VERDICT, detail)
    release = in_gate(release, replace(state, skipped=True))
    paused = replace(release, paused_from=Phase.HOLDING, cause=cause)
    decision = decision.changed(enter_phase(paused, Phase.PAUSED, now))
    ask = (
        "the candidate looks worse"
        if verdict is Verdict.BAD
        else "too little to say whether it is good"
    )
    return (
        decision.record(
            now, EventKind.PAUSED, f"{ask}: {detail}. Resume to go on, abort to take it back"
        ),
        False,
    )
