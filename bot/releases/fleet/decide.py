"""decide_fleet(release, seen, now): what happens next to a fleet release. Total, like the engine's
``decide``: the same record and the same observation order the same again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.releases.engine.decision import RESYNC_MS, Decision, enter_phase, finish, in_gate
from bot.releases.engine.fleet_requests import begin_way_back
from bot.releases.engine.gates import at_approval, enter_gate, hold_ends_at, open_gate
from bot.releases.engine.outcome import Proceed, RollBack, Stop
from bot.releases.engine.reminders import remind
from bot.releases.engine.votes import is_enough
from bot.releases.facts.changes import Deploy
from bot.releases.facts.counts import some_of
from bot.releases.facts.events import EventKind
from bot.releases.facts.fleet import SHOWN, Fleet, Given, Part, Wave
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import Phase, Progress, Release
from bot.releases.fleet.go_back import go_back
from bot.releases.fleet.observed import Begin, Order, PartSeen, SeenParts, handed_over, with_seen
from bot.releases.fleet.plan import NEXT_WAVE, SOAK
from bot.releases.fleet.state import fleet_of, paused, with_fleet, with_part

AWAY_MS = 300_000
"""A cluster that went away in the middle of its part is waited for so long; then its wave's rule
for unreachable clusters decides."""
AGAIN_MS = 5_000
SOAKING_MS = 15_000


@dataclass(frozen=True)
class FleetDecision:
    decision: Decision
    orders: tuple[Order, ...] = ()


def decide_fleet(release: Release, seen: SeenParts, now: int) -> FleetDecision:
    if release.phase.is_final:
        return FleetDecision(Decision(release))
    before = fleet_of(release)
    fleet = with_seen(before, seen, now)
    release = replace(release, fleet=fleet, from_version=_found(fleet, release))
    decision = _outages(Decision(release), before, now).wake(now + RESYNC_MS)
    if release.rollback is not None:
        return _going_back(decision, seen, now)
    handed = handed_over(fleet, seen)
    if release.phase is Phase.PAUSED:
        return FleetDecision(remind(decision, now), handed)
    if release.progress.at_step < 0:
        decision = _at_start(decision, now)
    orders: tuple[Order, ...] = ()
    while _may_move(decision.release):
        at = decision.release.progress.at_step
        decision, begun = _in_wave(decision, seen, now)
        orders = begun
        if decision.release.progress.at_step == at:
            break
    if decision.release.rollback is not None:
        return _going_back(decision, seen, now)
    return FleetDecision(remind(decision, now), (*handed, *orders))


def _going_back(decision: Decision, seen: SeenParts, now: int) -> FleetDecision:
    decision, orders = go_back(decision, seen, now)
    return FleetDecision(decision, orders)


def _may_move(release: Release) -> bool:
    stands = release.phase.is_final or release.phase is Phase.PAUSED
    return not stands and release.rollback is None and release.progress.at_step >= 0


def _found(fleet: Fleet, release: Release) -> str:
    """What ran before, where all parts found the same."""
    found = dict.fromkeys(
        one.from_version or one.runs for one in fleet.parts if one.state != "done"
    )
    known = [one for one in found if one]
    return release.from_version or (known[0] if len(known) == 1 else "")


def _outages(decision: Decision, before: Fleet, now: int) -> Decision:
    for part in fleet_of(decision.release).parts:
        was = before.part(part.cluster)
        if part.away and not was.away:
            text = f"{part.cluster} does not answer: {part.away}"
            decision = decision.record(now, EventKind.UNREACHABLE, text)
        if was.away and not part.away:
            decision = decision.record(now, EventKind.REACHABLE, f"{part.cluster} answers again")
    return decision


# --- gates ----------------------------------------------------------------------------------------


def _at_start(decision: Decision, now: int) -> Decision:
    gates = decision.release.plan.start if decision.release.plan is not None else ()
    if gates and decision.release.progress.gate is None:
        decision = enter_gate(decision, gates, 0, None, now)
    while (state := decision.release.progress.gate) is not None and state.gate < len(gates):
        gate = gates[state.gate]
        if not isinstance(gate, ApprovalGate):
            raise ValueError(f"{gate.name} is no gate of a start")
        passed = _at_approval(decision, gate, now)
        if not isinstance(passed, Proceed):
            return passed.decision
        decision = enter_gate(passed.decision, gates, state.gate + 1, None, now)
    return _entered(decision, 0, now)


def _entered(decision: Decision, wave: int, now: int) -> Decision:
    progress = Progress(at_step=wave, began_at=now)
    release = replace(decision.release, progress=progress)
    decision = decision.changed(enter_phase(release, Phase.PROGRESSING, now))
    waves = fleet_of(release).waves
    if wave >= len(waves):
        return decision
    text = f"wave {wave + 1} begins: {some_of(waves[wave].clusters, SHOWN)}"
    return decision.record(now, EventKind.STEP_BEGAN, text)


def _at_approval(decision: Decision, gate: ApprovalGate, now: int) -> Proceed | Stop:
    """The votes are kept: they are handed to the parts that stand at such a gate."""
    release, state = decision.release, decision.release.progress.gate
    if state is None:
        return Stop(decision)
    if is_enough(gate, state.votes):
        fleet = fleet_of(release)
        given = Given(release.progress.at_step, gate.name, state.votes)
        decision = with_fleet(decision, replace(fleet, given=(*fleet.given, given)))
    outcome = at_approval(decision, gate, state, now)
    if isinstance(outcome, RollBack):
        return Stop(begin_way_back(outcome.decision, outcome.cause, outcome.ends_as, now))
    return outcome


def _gate_named(release: Release, *names: str) -> int | None:
    gates = release.current_step.gates if release.current_step is not None else ()
    return next((at for at, one in enumerate(gates) if one.name in names), None)


def _opened(decision: Decision, at: int, now: int) -> Decision:
    step = decision.release.current_step
    gates = step.gates if step is not None else ()
    return enter_gate(decision, gates, at, None, now)


def _closed(decision: Decision, now: int) -> Decision:
    release = enter_phase(in_gate(decision.release, None), Phase.PROGRESSING, now)
    return decision.changed(release)


# --- one wave -------------------------------------------------------------------------------------


def _in_wave(decision: Decision, seen: SeenParts, now: int) -> tuple[Decision, tuple[Order, ...]]:
    fleet, at = fleet_of(decision.release), decision.release.progress.at_step
    if at >= len(fleet.waves):
        return _at_end(decision, now)
    decision = _already_there(_skipped(decision, now), seen, now)
    wave, parts = fleet.waves[at], fleet_of(decision.release).of_wave(at)
    begun = _begun(decision.release, wave, parts, now)
    is_moving = begun or any(_is_running(one, wave, now) for one in parts)
    failed = _failed(decision.release, wave, parts, now)
    if failed and not is_moving:
        return paused(decision, *failed, now), ()
    decision = _promoted(decision, parts, now)
    if begun or not all(_is_over(decision.release, one) for one in parts):
        return decision.wake(now + AGAIN_MS) if not is_moving else decision, begun
    return _complete(decision, parts, seen, now), ()


def _already_there(decision: Decision, seen: SeenParts, now: int) -> Decision:
    """A cluster that runs the version before its part begins needs none: the way back leaves it
    alone."""
    fleet, at = fleet_of(decision.release), decision.release.progress.at_step
    for part in fleet.of_wave(at):
        found = seen[part.cluster]
        is_there = found.version == decision.release.to_version and found.is_complete
        if part.state == "waiting" and not part.release and is_there:
            there = replace(part, state="done", since=now, is_skipped=False)
            text = f"{part.cluster} runs {found.version} already"
            fleet = with_part(fleet, there)
            decision = with_fleet(decision, fleet).record(now, EventKind.STEP_DONE, text)
    return decision


def _begun(release: Release, wave: Wave, parts: tuple[Part, ...], now: int) -> tuple[Order, ...]:
    """Nothing begins beside a part that failed, until people decide."""
    change = release.change
    if _failed(release, wave, parts, now) or not isinstance(change, Deploy):
        return ()
    waiting = [one for one in parts if one.state == "waiting" and not one.release]
    ready = [one for one in waiting if one.runs and not one.away and not one.is_skipped]
    return tuple(Begin(one.cluster, change) for one in ready)


def _is_running(part: Part, wave: Wave, now: int) -> bool:
    is_given_up = bool(part.away) and wave.unreachable != "wait" and _is_long_away(part, now)
    return part.state == "running" and not part.is_skipped and not is_given_up


def _is_long_away(part: Part, now: int) -> bool:
    """One that did not answer before its part began is not waited for."""
    return bool(part.away) and (not part.release or now - part.away_since >= AWAY_MS)


def _skipped(decision: Decision, now: int) -> Decision:
    release = decision.release
    fleet, at = fleet_of(release), release.progress.at_step
    if fleet.waves[at].unreachable != "skip":
        return decision
    for part in fleet.of_wave(at):
        is_over = part.state in ("done", "failed")
        if part.is_skipped or is_over or not _is_long_away(part, now):
            continue
        fleet = with_part(fleet, replace(part, is_skipped=True, since=now))
        text = f"{part.cluster} is skipped until it answers: {part.away}"
        decision = with_fleet(decision, fleet).record(now, EventKind.QUEUED, text)
    return decision


def _failed(
    release: Release, wave: Wave, parts: tuple[Part, ...], now: int
) -> tuple[str, str] | None:
    """Why no later wave begins, and the key by which a person continues all the same."""
    for part in parts:
        if part.state == "failed" and (key := _failure_of(part)) not in release.tolerated:
            return f"{part.release} in {part.cluster} {part.words}", key
        is_stopped = wave.unreachable == "stop" and part.state != "done"
        key = _absence_of(part)
        if is_stopped and _is_long_away(part, now) and key not in release.tolerated:
            return f"{part.cluster} does not answer ({part.away})", key
    return None


# What people are asked about, as `Release.tolerated` keeps it where they continued in spite of it.


def _failure_of(part: Part) -> str:
    return f"{part.release} failed"


def _absence_of(part: Part) -> str:
    return f"{part.cluster} away"


def _other_version(part: Part, found: PartSeen) -> str:
    return f"{part.cluster} runs {found.version}"


def _is_over(release: Release, part: Part) -> bool:
    """Done, or left behind by a rule or a person."""
    tolerated = {_failure_of(part), _absence_of(part)} & set(release.tolerated)
    return part.state == "done" or part.is_skipped or bool(tolerated)


def _promoted(decision: Decision, parts: tuple[Part, ...], now: int) -> Decision:
    """The fleet asks once for all parts of the wave, as soon as each that runs stands at the
    gate."""
    release = decision.release
    gate, state = open_gate(release), release.progress.gate
    if isinstance(gate, ApprovalGate) and state is not None and gate.name != NEXT_WAVE:
        passed = _at_approval(decision, gate, now)
        return _closed(passed.decision, now) if isinstance(passed, Proceed) else passed.decision
    if state is not None:
        return decision
    running = [one for one in parts if one.state == "running" and not one.is_skipped]
    waits = {one.asks for one in running}
    at = _gate_named(release, *waits) if len(waits) == 1 and "" not in waits else None
    given = {one.gate for one in fleet_of(release).given if one.wave == release.progress.at_step}
    if at is None or waits & given:
        return decision
    return _opened(decision, at, now)


def _complete(decision: Decision, parts: tuple[Part, ...], seen: SeenParts, now: int) -> Decision:
    """Its records say that the wave is over. The next begins when the clusters show it, for as long
    as the wave soaks."""
    for part in _replaced_before(decision.release, seen):
        key = _other_version(part, seen[part.cluster])
        why = f"{key} now, brought by something else"
        return paused(decision, why, key, now)
    for part in parts:
        if part.state != "done":
            continue
        decision, is_shown = _shown(decision, part, seen, now)
        if not is_shown:
            return decision
    return _soaked(decision, now)


def _replaced_before(release: Release, seen: SeenParts) -> list[Part]:
    """Parts of earlier waves whose cluster runs another version by now."""
    fleet, at = fleet_of(release), release.progress.at_step
    earlier = [
        one for one in fleet.parts if one.state == "done" and fleet.wave_of(one.cluster) < at
    ]
    return [
        one
        for one in earlier
        if (found := seen[one.cluster]).image and found.image != _image_of(found)
        if _other_version(one, found) not in release.tolerated
    ]


def _image_of(seen: PartSeen) -> str:
    """What its release brought; what runs, where that is not known."""
    plan = seen.release.plan if seen.release is not None else None
    return plan.image if plan is not None else seen.image


def _shown(decision: Decision, part: Part, seen: SeenParts, now: int) -> tuple[Decision, bool]:
    found, wave = seen[part.cluster], fleet_of(decision.release).wave_of(part.cluster)
    rule, tolerated = fleet_of(decision.release).waves[wave].unreachable, decision.release.tolerated
    if not found.image:
        is_passed_over = rule == "skip" and _is_long_away(part, now)
        key = _absence_of(part)
        if rule == "stop" and _is_long_away(part, now) and key not in tolerated:
            why = f"{part.cluster} does not answer ({part.away})"
            return paused(decision, why, key, now), False
        return decision.wake(now + AGAIN_MS), is_passed_over or key in tolerated
    if found.image == _image_of(found):
        return decision.wake(now + AGAIN_MS), found.is_complete
    key = _other_version(part, found)
    if key in tolerated:
        return decision, True
    why = f"{part.cluster} runs {found.version} now, brought by something else"
    return paused(decision, why, key, now), False


def _soaked(decision: Decision, now: int) -> Decision:
    release = decision.release
    soak, following = _gate_named(release, SOAK), _gate_named(release, NEXT_WAVE)
    state, gate = release.progress.gate, open_gate(release)
    if soak is not None and SOAK not in _passed_here(release):
        if not isinstance(gate, HoldGate) or state is None:
            return _opened(decision, soak, now).wake(now + SOAKING_MS)
        ends = hold_ends_at(release, gate)
        if not state.skipped and (ends is None or now < ends):
            return decision.wake(ends).wake(now + SOAKING_MS)
        decision = _with_passed(_closed(decision, now), SOAK)
    if following is not None:
        release = decision.release
        gate = open_gate(release)
        if not isinstance(gate, ApprovalGate):
            return _opened(decision, following, now)
        passed = _at_approval(decision, gate, now)
        if not isinstance(passed, Proceed):
            return passed.decision.wake(now + SOAKING_MS)
        decision = passed.decision
    at = decision.release.progress.at_step
    where = some_of(fleet_of(decision.release).waves[at].clusters, SHOWN)
    text = f"wave {at + 1} is over: {where}"
    return _entered(decision.record(now, EventKind.STEP_DONE, text), at + 1, now)


def _passed_here(release: Release) -> set[str]:
    """Gates of this wave that were passed."""
    prefix = f"{release.progress.at_step}/"
    return {one.removeprefix(prefix) for one in release.passed if one.startswith(prefix)}


def _with_passed(decision: Decision, gate: str) -> Decision:
    release = decision.release
    passed = (*release.passed, f"{release.progress.at_step}/{gate}")
    return decision.changed(replace(release, passed=passed))


# --- the end --------------------------------------------------------------------------------------


def _at_end(decision: Decision, now: int) -> tuple[Decision, tuple[Order, ...]]:
    """Skipped parts are done when their cluster answers: until then the fleet is done but for
    them."""
    release = decision.release
    fleet = fleet_of(release)
    late = [one for one in fleet.parts if one.is_skipped and not _is_left(release, one)]
    if not late:
        return _finished(decision, now), ()
    where = some_of([one.cluster for one in late], SHOWN)
    if not fleet.is_catching_up:
        decision = with_fleet(decision, replace(fleet, is_catching_up=True))
        decision = decision.record(now, EventKind.QUEUED, f"done but for {where}")
    orders: list[Order] = []
    for part in late:
        key = _failure_of(part)
        if part.state == "failed":
            why = f"{part.release} in {part.cluster} {part.words}"
            return paused(decision, why, key, now), ()
        if part.release or part.away or not part.runs:
            continue
        within, late_key = _catch_up_within(fleet, part), f"{part.cluster} is late"
        if now - part.since > within and late_key not in release.tolerated:
            why = f"{part.cluster} answers again, later than it may catch up by itself"
            return paused(decision, why, late_key, now), ()
        if isinstance(release.change, Deploy):
            orders.append(Begin(part.cluster, release.change))
    return decision, tuple(orders)


def _is_left(release: Release, part: Part) -> bool:
    """Done, or failed as a person saw and continued in spite of."""
    return part.state == "done" or _failure_of(part) in release.tolerated


def _catch_up_within(fleet: Fleet, part: Part) -> int:
    return fleet.waves[fleet.wave_of(part.cluster)].catch_up_within_ms


def _finished(decision: Decision, now: int) -> Decision:
    release = decision.release
    fleet, version = fleet_of(release), release.to_version
    done = [one.cluster for one in fleet.parts if one.state == "done"]
    off = [one.cluster for one in fleet.parts if one.cluster not in done]
    where = f"{release.target.label} is on {version} in {some_of(done, SHOWN)}"
    if not off:
        return finish(decision, Phase.SUCCEEDED, now, where)
    return finish(decision, Phase.FAILED, now, f"{where}, not in {some_of(off, SHOWN)}")
