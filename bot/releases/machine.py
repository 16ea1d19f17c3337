"""decide(release, seen, now): what happens next to a release. Pure, total, and the same for every strategy.

The order of a decision is the order of its dangers: can the cluster be seen; is there a plan; did somebody else change what we
depend on; is it paused; is it broken; and only then: what does the current step still need.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.actions import (
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    PatchDeployment,
    PatchService,
)
from bot.releases.decision import RESYNC_MS, Decision, finish, into
from bot.releases.events import EventKind
from bot.releases.gates import at_gates
from bot.releases.health import assess, cause_of, holds, newest, ready_endpoints
from bot.releases.intents import deployment_of, drop, find, look, put, service_named, settle, wanted_fields
from bot.releases.model import (
    Cause,
    Drift,
    FailureClass,
    Field,
    Intent,
    Kind,
    Leg,
    Phase,
    Release,
    Restart,
    Scale,
    Strategy,
)
from bot.releases.observation import Observation, Seen, Unreachable
from bot.releases.plan import AbsentGoal, Condition, DeploymentGoal, Goal, Role, ServiceGoal, Step, plan_hash
from bot.releases.planning import PlanRefused, as_found_hash, as_found_of, make_draft, seed_intents, with_notes
from bot.releases.sighting import sight
from bot.releases.strategies import STRATEGIES

ENVIRONMENT_PATIENCE_MS = 300_000
REVERTS_THAT_END_IT = 2


def decide(release: Release, seen: Seen, now: int) -> Decision:
    """One look at the cluster, one decision. A final release does nothing; one without as-found facts writes nothing."""
    if release.phase.is_final:
        return Decision(release)
    if isinstance(seen, Unreachable):
        return _unreachable(release, seen, now)
    decision = Decision(release)
    if release.unreachable_since:
        decision = decision.changed(replace(release, unreachable_since=0, unreachable_why=""))
        decision = decision.tell(now, EventKind.REACHABLE, f"{release.target.cluster} answers again")
    decision = decision.changed(replace(decision.release, sighting=sight(decision.release, seen)))
    if decision.release.plan is None or decision.release.as_found is None:
        return _begin(decision, seen, now)
    return _go_on(decision, seen, now).wake(now + RESYNC_MS)


def _unreachable(release: Release, seen: Unreachable, now: int) -> Decision:
    since = release.unreachable_since or now
    wait = min(15_000, max(1_000, (now - since) // 2))
    decision = Decision(replace(release, unreachable_since=since, unreachable_why=seen.why), wake_at=now + wait)
    if not release.unreachable_since:
        decision = decision.tell(
            now,
            EventKind.UNREACHABLE,
            f"{release.target.cluster} cannot be reached ({seen.why}): holding, nothing is changed meanwhile",
        )
    return decision


def _begin(decision: Decision, seen: Observation, now: int) -> Decision:
    """Plan and save as-found facts; writes nothing to the cluster."""
    release = decision.release
    ways = STRATEGIES[release.strategy]
    release, seen, candidate = ways.face(release, seen)
    try:
        draft, notes = make_draft(release, seen, now)
        plan = with_notes(ways.plan(replace(draft, candidate=candidate)), notes)
        found = as_found_of(release, plan, seen, now)
    except PlanRefused as refused:
        cause = Cause(FailureClass.REFUSED, str(refused))
        failed = decision.changed(replace(release, cause=cause)).tell(now, EventKind.REFUSED, str(refused))
        return finish(failed, Phase.FAILED, now, f"not started: {refused}")
    plan = replace(plan, as_found_hash=as_found_hash(found))
    plan = replace(plan, hash=plan_hash(plan))
    from_version, to_version = plan.from_version, plan.version
    if isinstance(release.change, Scale):
        from_version, to_version = f"{draft.stable.replicas} pods", f"{release.change.replicas} pods"
    elif isinstance(release.change, Restart):
        to_version = f"{from_version}, restarted"
    release = replace(
        release, plan=plan, as_found=found, from_version=from_version, to_version=to_version,
        intents=seed_intents(release, plan, seen), at_step=-1, step_began_at=now, started_at=now, queued_behind="",
    )  # fmt: skip
    release = into(release, Phase.AWAITING_APPROVAL if plan.start else Phase.PROGRESSING, now)
    release = replace(release, sighting=sight(release, seen))
    decision = decision.changed(release).tell(
        now, EventKind.PLANNED, f"{from_version} → {to_version}, {release.strategy.value}"
    )
    if not plan.start:
        decision = enter_step(decision, 0, now)
    else:
        decision, _ = at_gates(decision, plan.start, now, seen)
    return decision.wake(now)


def enter_step(decision: Decision, index: int, now: int) -> Decision:
    release = replace(
        decision.release,
        at_step=index,
        step_began_at=now,
        step_paused_ms=0,
        gate=None,
        environment=None,
        environment_since=0,
    )
    phase = Phase.ROLLING_BACK if release.leg is Leg.BACK else Phase.PROGRESSING
    decision = decision.changed(into(release, phase, now))
    if index < len(release.steps) and release.steps[index].until:
        decision = decision.tell(now, EventKind.STEP_BEGAN, release.steps[index].title)
    return decision


def turn_back(decision: Decision, seen: Observation | None, now: int, *, ends_as: Phase, cause: Cause) -> Decision:
    """Begin the way back: everything to as found. Without any write so far the release simply ends."""
    release = replace(
        decision.release,
        leg=Leg.BACK,
        ends_as=ends_as,
        cause=cause,
        drift=(),
        paused_from=None,
        gate=None,
        environment=None,
    )
    release = into(release, Phase.ROLLING_BACK, now)
    if seen is None:
        return decision.changed(replace(release, back=(), at_step=-1)).wake(now)
    back = STRATEGIES[release.strategy].way_back(release, seen)
    # the way back depends on nothing but the Deployment itself: what drifted is written over, and never holds it up
    intents = tuple(
        intent
        for intent in release.intents
        if intent.field is Field.EXISTS and intent.name == release.target.deployment
    )
    release = replace(release, back=back, intents=intents)
    decision = decision.changed(release)
    if not back:
        return finish(decision, ends_as, now, cause.summary)
    decision = decision.tell(now, EventKind.ROLLING_BACK, f"taking back: {cause.summary}")
    return enter_step(decision, 0, now).wake(now)


def fail(decision: Decision, seen: Observation, now: int, cause: Cause, *, pause: bool = False) -> Decision:
    """A failure was found: cause told, then rolled back, or paused where the catalog or the class says so."""
    release = decision.release
    decision = decision.tell(now, EventKind.FAILURE, cause.summary, evidence=cause.evidence)
    if pause or release.rules.on_failure == "pause":
        paused = replace(release, cause=cause, paused_from=release.phase)
        decision = decision.changed(into(paused, Phase.PAUSED, now))
        return decision.tell(now, EventKind.PAUSED, "paused: resume to go on, abort to take it back")
    return turn_back(decision, seen, now, ends_as=Phase.ROLLED_BACK, cause=cause)


def _go_on(decision: Decision, seen: Observation, now: int) -> Decision:
    release = decision.release
    if release.leg is Leg.BACK and release.at_step < 0:  # asked for while the cluster was not being looked at
        return turn_back(
            decision,
            seen,
            now,
            ends_as=release.ends_as or Phase.ABORTED,
            cause=release.cause or Cause(FailureClass.REQUEST, "aborted"),
        )
    intents, drift = look(release.intents, seen)
    decision = decision.changed(replace(release, intents=intents))
    drifted = _on_drift(decision, drift, seen, now)
    if drifted is not None:
        return drifted
    if decision.release.phase is Phase.DRIFTED:
        back_to = decision.release.paused_from or Phase.PROGRESSING
        since = now - decision.release.phase_since
        release = replace(
            decision.release, drift=(), paused_from=None, step_paused_ms=decision.release.step_paused_ms + since
        )
        decision = decision.changed(into(release, back_to, now)).tell(
            now, EventKind.DRIFT_ENDED, "as intended again: going on"
        )
    if decision.release.phase is Phase.AWAITING_APPROVAL and decision.release.plan is not None:
        decision, passed = at_gates(decision, decision.release.plan.start, now, seen)
        if decision.release.leg is Leg.BACK:
            return turn_back_after_gate(decision, seen, now)
        if not passed:
            return decision
        decision = enter_step(decision, 0, now)
    if decision.release.phase is Phase.PAUSED:
        return _paused(decision, seen, now)
    while not decision.release.phase.is_final and decision.release.at_step < len(decision.release.steps):
        decision, moved = _in_step(decision, seen, now)
        if not moved:
            return decision
    return decision if decision.release.phase.is_final else _arrived(decision, now)


def turn_back_after_gate(decision: Decision, seen: Observation, now: int) -> Decision:
    """A gate expired with `on_expiry: abort`."""
    cause = decision.release.cause or Cause(FailureClass.REQUEST, "approval expired")
    return turn_back(decision, seen, now, ends_as=Phase.EXPIRED, cause=cause)


def _arrived(decision: Decision, now: int) -> Decision:
    release = decision.release
    if release.leg is Leg.BACK:
        ended = release.ends_as or Phase.ABORTED
        why = release.cause.summary if release.cause else ""
        words = {
            Phase.ROLLED_BACK: "rolled back",
            Phase.ABORTED: "aborted",
            Phase.EXPIRED: "expired",
            Phase.REJECTED: "rejected",
        }
        text = f"{release.target.app} is back on {release.from_version} ({words.get(ended, ended.value)}): {why}"
        return finish(decision, ended, now, text)
    verb = "has" if isinstance(release.change, Scale) else "is on"
    return finish(decision, Phase.SUCCEEDED, now, f"{release.target.app} {verb} {release.to_version}")


# --- drift ------------------------------------------------------------------------------------------------------------


def _on_drift(decision: Decision, drift: tuple[Drift, ...], seen: Observation, now: int) -> Decision | None:
    release = decision.release
    if seen.stable is None:
        drift = (Drift(release.target.deployment, Kind.DEPLOYMENT, Field.EXISTS, "present", "deleted", ""),)
    if not drift:
        return None
    intents = release.intents
    fresh = {(d.name, d.field) for d in drift} - {(d.name, d.field) for d in release.drift}
    for name, field in fresh:
        intent = next((i for i in intents if i.name == name and i.field is field), None)
        if intent is not None:
            intents = put(intents, replace(intent, reverts=intent.reverts + 1, confirmed=True))
    release = replace(release, intents=intents)
    told = "; ".join(
        f"{d.kind} {d.name}, {d.field.value}: intended {d.intended}, is {d.observed}"
        + (f" (by {d.manager})" if d.manager else "")
        for d in drift
    )
    worst = max((i.reverts for i in intents if (i.name, i.field) in {(d.name, d.field) for d in drift}), default=0)
    gone = any(d.field is Field.EXISTS for d in drift) and seen.stable is None
    if worst >= REVERTS_THAT_END_IT and release.leg is Leg.FORWARD and not gone:
        cause = Cause(FailureClass.DRIFT, f"somebody else keeps changing it: {told}"[:600])
        decision = decision.changed(release).tell(now, EventKind.FAILURE, cause.summary)
        return turn_back(decision, seen, now, ends_as=Phase.ABORTED, cause=cause)
    if release.leg is Leg.FORWARD and _took_away_what_serves(release, drift, seen):
        cause = Cause(FailureClass.DRIFT, f"what served was taken away: {told}"[:600])
        decision = decision.changed(release).tell(now, EventKind.FAILURE, cause.summary)
        return turn_back(decision, seen, now, ends_as=Phase.ABORTED, cause=cause)
    if release.phase is Phase.DRIFTED:
        return decision.changed(replace(release, drift=drift))
    before = release.paused_from if release.phase is Phase.PAUSED else release.phase
    release = replace(release, drift=drift, paused_from=before)
    decision = decision.changed(into(release, Phase.DRIFTED, now))
    return decision.tell(now, EventKind.DRIFTED, f"changed past the release, holding: {told}"[:900])


def _took_away_what_serves(release: Release, drift: tuple[Drift, ...], seen: Observation) -> bool:
    """Somebody deleted or emptied the candidate while a Service has nobody else: that is not held for, stable serves at once."""
    if release.plan is None or release.plan.candidate_selector is None:
        return False
    if not any(d.kind is Kind.DEPLOYMENT and d.name == release.candidate_name for d in drift):
        return False
    return not all(
        ready_endpoints(seen, seen.stable, (name,)) or ready_endpoints(seen, seen.candidate, (name,))
        for name in release.target.services
    )


# --- steps ------------------------------------------------------------------------------------------------------------


def _in_step(decision: Decision, seen: Observation, now: int) -> tuple[Decision, bool]:
    """Carry on with the current step. True: it is done and the next one is entered."""
    step = decision.release.steps[decision.release.at_step]
    broken = _judge_pods(decision, step, seen, now)
    if broken.release.leg is not decision.release.leg or broken.release.phase is not decision.release.phase:
        if broken.release.phase is Phase.ROLLING_BACK and decision.release.leg is Leg.FORWARD:
            return broken, True
        return broken, False
    decision = broken
    if decision.release.gate is None:
        decision, settled = _pursue(decision, step.goals, seen, now)
        reached = settled and not decision.actions and true_now(decision.release, seen, step.until)
        if not reached:
            return _watch_deadline(decision, step, seen, now)
        if step.until:
            decision = decision.tell(now, EventKind.STEP_DONE, f"{step.title}: done")
    else:
        decision, settled = _pursue(decision, step.goals, seen, now)
        if not settled:
            return decision, False
    decision, passed = at_gates(decision, step.gates, now, seen)
    if decision.release.leg is Leg.BACK and decision.release.at_step < 0:
        return turn_back_after_gate(decision, seen, now), True
    if not passed:
        return decision, False
    return enter_step(decision, decision.release.at_step + 1, now), True


def _watch_deadline(decision: Decision, step: Step, seen: Observation, now: int) -> tuple[Decision, bool]:
    release = decision.release
    if step.deadline_ms is None:
        return decision, False
    ends = release.step_began_at + step.deadline_ms + release.step_paused_ms
    if now < ends:
        return decision.wake(ends), False
    waiting = f"; {release.environment.summary}" if release.environment else ""
    if release.leg is Leg.BACK:
        release = replace(release, step_began_at=now, step_paused_ms=0)
        text = f"still not back after {step.deadline_ms // 60_000} min: {step.title}{waiting}; an admin may end it with abort --force"
        return decision.changed(release).tell(now, EventKind.REMINDED, text).wake(now + step.deadline_ms), False
    deployment = seen.stable
    ready = (
        f"{deployment.available} of {deployment.replicas} available, {deployment.updated} updated" if deployment else ""
    )
    cause = Cause(
        FailureClass.DEADLINE,
        f"not complete after {step.deadline_ms // 60_000} min ({ready}){waiting}",
        seen.events[:3],
    )
    failed = fail(decision, seen, now, cause)
    return failed, failed.release.phase is Phase.ROLLING_BACK


def _judge_pods(decision: Decision, step: Step, seen: Observation, now: int) -> Decision:
    """Failing fast, not rashly: only live pods of the newest ReplicaSet of what this step watches."""
    release = decision.release
    if release.leg is Leg.BACK:
        return decision
    environment: Cause | None = None
    for role in step.watches:
        deployment = deployment_of(seen, role)
        replica_set = newest(deployment) if deployment else None
        if deployment is None or replica_set is None or not _is_ours(release, role, deployment.template):
            continue
        found = assess(seen, role, release.rules, now)
        total = sum(1 for pod in replica_set.pods if not pod.terminating)
        if found.permanent:
            return fail(decision, seen, now, cause_of(found.permanent, total))
        if found.persistent:
            return fail(decision, seen, now, cause_of(found.persistent, total), pause=not found.all_failed)
        decision = decision.wake(found.next_ripe_at)
        if found.environment:
            environment = cause_of(found.environment, total)
        elif found.blocked:
            environment = Cause(FailureClass.ENVIRONMENT, found.blocked[:400])
    return _environment(decision, environment, now)


def _is_ours(release: Release, role: Role, template: object) -> bool:
    """Pods of the old template are not judged: the roll has not begun for the controller."""
    if role is Role.CANDIDATE or isinstance(release.change, Scale):
        return True
    return release.as_found is None or template != release.as_found.stable.template


def _environment(decision: Decision, cause: Cause | None, now: int) -> Decision:
    release = decision.release
    if cause is None:
        return (
            decision.changed(replace(release, environment=None, environment_since=0))
            if release.environment
            else decision
        )
    since = release.environment_since or now
    asked = release.environment is not None and release.environment.evidence[:1] == ("asked",)
    if now - since >= ENVIRONMENT_PATIENCE_MS and not asked:
        text = f"waiting since {(now - since) // 60_000} min: {cause.summary}; it is not the new version's fault. Abort, or wait?"
        decision = decision.tell(now, EventKind.ENVIRONMENT, text, evidence=cause.evidence)
        asked = True
    marked = replace(cause, evidence=("asked", *cause.evidence)) if asked else cause
    decision = decision.changed(replace(release, environment=marked, environment_since=since))
    return decision if asked else decision.wake(since + ENVIRONMENT_PATIENCE_MS)


# --- paused -----------------------------------------------------------------------------------------------------------


def _paused(decision: Decision, seen: Observation, now: int) -> Decision:
    """Writes nothing but what the pause itself needs, and the safety action: a candidate that failed goes to 0."""
    release = decision.release
    pause = find(release.intents, Kind.DEPLOYMENT, release.target.deployment, Field.PAUSED)
    if (
        pause is not None
        and pause.after is True
        and not pause.confirmed
        and seen.stable is not None
        and not seen.stable.paused
    ):
        settled = settle(release.intents, Kind.DEPLOYMENT, seen.stable, {Field.PAUSED: True})
        decision = decision.changed(replace(release, intents=settled.intents))
        return decision.doing(PatchDeployment(seen.stable.name, seen.stable.uid, seen.stable.claim, settled.changes))
    if release.strategy is Strategy.CANARY and seen.candidate is not None and release.leg is Leg.FORWARD:
        found = assess(seen, Role.CANDIDATE, release.rules, now)
        failed = found.permanent or (found.persistent if found.all_failed else ())
        if failed and seen.candidate.replicas > 0:
            cause = release.cause or cause_of(failed, len(failed))
            decision = decision.changed(replace(release, cause=cause))
            settled = settle(decision.release.intents, Kind.DEPLOYMENT, seen.candidate, {Field.REPLICAS: 0})
            decision = decision.changed(replace(decision.release, intents=settled.intents))
            patch = PatchDeployment(seen.candidate.name, seen.candidate.uid, seen.candidate.claim, settled.changes)
            return decision.tell(now, EventKind.FAILURE, cause.summary, evidence=cause.evidence).doing(patch)
    return decision
