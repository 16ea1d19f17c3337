"""The beginning of a release: its plan, what it found, and the approval to start."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.card_snapshot import take_card_snapshot
from bot.releases.assess.lost_writes import before_own_writes, has_own_writes
from bot.releases.assess.rollout import is_complete
from bot.releases.engine.decision import RESYNC_MS, Decision, enter_phase, finish
from bot.releases.engine.gates import at_gates
from bot.releases.engine.outcome import Outcome, Proceed
from bot.releases.engine.transitions import enter_step
from bot.releases.facts.as_found import AsFound
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Change, Restart, Scale
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import Plan, plan_hash
from bot.releases.facts.release import Phase, Progress, Release
from bot.releases.planning.as_found import as_found_hash, as_found_of, seed_intents
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS
from bot.releases.planning.coming_freeze import caught_note
from bot.releases.planning.draft import RESTARTED_AT, make_draft, with_notes
from bot.releases.planning.refusals import PlanRefused
from bot.releases.strategies import STRATEGIES


def begin(decision: Decision, seen: Observation, now: int) -> Decision:
    """Plan and save as-found facts; writes nothing to the cluster."""
    release, observed = decision.release, seen
    seen = before_own_writes(release, observed)
    if _is_settling(release, seen, now):
        return decision.wake(now + RESYNC_MS)
    try:
        release = with_plan(release, observed, now)
    except PlanRefused as refused:
        cause = Cause(FailureClass.REFUSED, str(refused))
        failed = decision.changed(replace(release, cause=cause))
        failed = failed.record(now, EventKind.REFUSED, str(refused))
        return finish(failed, Phase.FAILED, now, f"not started: {refused}")
    start = release.plan.start if release.plan else ()
    phase = Phase.AWAITING_APPROVAL if start else Phase.PROGRESSING
    release = enter_phase(release, phase, now)
    release = replace(release, card_snapshot=take_card_snapshot(release, seen))
    versions = f"{release.from_version} → {release.to_version}"
    decision = decision.changed(release).record(
        now, EventKind.PLANNED, f"{versions}, {release.strategy.value}"
    )
    if not decision.release.plan_changed:
        decision = _announce_overrides(decision, now)
    if start:
        return at_gates(decision, start, seen, now).decision.wake(now)
    return enter_step(decision, 0, now).wake(now)


def with_plan(release: Release, seen: Observation, now: int) -> Release:
    """Before its start, with what it found. Raises PlanRefused."""
    planned_at = _planned_at(release, seen, now)
    seen = before_own_writes(release, seen)
    plan, found = make_plan(release, seen, planned_at)
    from_version, to_version = _versions(release.change, plan, found)
    return replace(
        release,
        plan=plan,
        as_found=found,
        from_version=from_version,
        to_version=to_version,
        intents=seed_intents(release, plan, seen),
        progress=Progress(at_step=-1, began_at=now),
        started_at=now,
        queued_behind="",
    )


def _planned_at(release: Release, seen: Observation, now: int) -> int:
    """A restart writes its time into the template. Where it did so before Redis lost its plan, the
    plan is the same: no pod is restarted twice."""
    if not isinstance(release.change, Restart) or not has_own_writes(release, seen):
        return now
    meta = seen.stable.template["metadata"] if seen.stable else {}
    written = (meta.get("annotations") or {}).get(RESTARTED_AT, "")
    if not written.isdecimal():
        return now
    return int(written) * 1000 + (release.clocks_apart_ms or 0)


def _announce_overrides(decision: Decision, now: int) -> Decision:
    """Once, however often the release is planned."""
    release = decision.release
    for what in release.overrides:
        text = f"{release.requested_by.display_name} released it {what}"
        decision = decision.record(now, EventKind.OVERRODE, text)
    return decision


def _is_settling(release: Release, seen: Observation, now: int) -> bool:
    """A change that was adopted is still being rolled out."""
    return (
        bool(release.plan_changed)
        and seen.stable is not None
        and not is_complete(seen.stable)
        and now < release.phase_since + MINIMUM_DEADLINE_MS
    )


def make_plan(release: Release, seen: Observation, now: int) -> tuple[Plan, AsFound]:
    """Raises PlanRefused."""
    draft, notes = make_draft(release, seen, release.in_cluster_time(now))
    plan = with_notes(STRATEGIES[release.strategy].plan(draft), notes)
    caught = caught_note(plan, release.coming_freeze, usual_ms=release.usual_ms, now=now)
    plan = with_notes(plan, (caught,) if caught else ())
    found = as_found_of(release, plan, seen, now)
    plan = replace(plan, as_found_hash=as_found_hash(found))
    return replace(plan, hash=plan_hash(plan)), found


def _versions(change: Change, plan: Plan, found: AsFound) -> tuple[str, str]:
    """Before and after, as people read them."""
    match change:
        case Scale():
            return counted(found.stable.replicas, "pod"), counted(change.replicas, "pod")
        case Restart():
            return plan.from_version, f"{plan.from_version}, restarted"
        case _:
            return plan.from_version, plan.version


def wait_for_start(decision: Decision, seen: Observation, now: int) -> Outcome:
    release = decision.release
    if release.phase is not Phase.AWAITING_APPROVAL or release.plan is None:
        return Proceed(decision)
    outcome = at_gates(decision, release.plan.start, seen, now)
    if isinstance(outcome, Proceed):
        return Proceed(enter_step(outcome.decision, 0, now))
    return outcome
