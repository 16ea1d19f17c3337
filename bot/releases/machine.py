"""decide(release, seen, now): what happens next to a release. Pure, total, and the same for every strategy.

The order of a decision is the order of its dangers: can the cluster be seen; is there a plan; did somebody else change what we
depend on; is it paused; is it broken; and only then: what does the current step still need.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.actions import PatchDeployment
from bot.releases.decision import RESYNC_MS, Decision, finish, into
from bot.releases.events import EventKind
from bot.releases.gates import at_gates
from bot.releases.health import assess, cause_of, newest, ready_endpoints
from bot.releases.intents import deployment_of, drop, find, is_ours, look, put, settle
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
from bot.releases.plan import DeploymentGoal, Role, Step, plan_hash
from bot.releases.planning import (
    MINIMUM_DEADLINE_MS,
    PlanRefused,
    as_found_hash,
    as_found_of,
    make_draft,
    seed_intents,
    with_notes,
)
from bot.releases.pursuit import pursue, rewrite_drifted, true_now
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
        environment_asked=False,
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
        drifted_from=None,
        gate=None,
        environment=None,
        environment_asked=False,
    )
    release = into(release, Phase.ROLLING_BACK, now)
    if seen is None:
        return decision.changed(replace(release, back=(), at_step=-1)).wake(now)
    release = replace(release, intents=_theirs_left_out(release, seen))
    back = STRATEGIES[release.strategy].way_back(release, seen)
    # the way back depends on nothing but the Deployment itself: what drifted is written over, and never holds it up
    intents = tuple(
        intent
        if intent.field is Field.EXISTS and intent.name == release.target.deployment
        else replace(intent, pending="restore", instead_of=None)
        for intent in release.intents
        if intent.written or intent.field is Field.EXISTS
    )
    release = replace(release, back=back, intents=intents)
    decision = decision.changed(release)
    if not back:
        return finish(decision, ends_as, now, cause.summary)
    decision = decision.tell(now, EventKind.ROLLING_BACK, f"taking back: {cause.summary}")
    return enter_step(decision, 0, now).wake(now)


def _theirs_left_out(release: Release, seen: Observation) -> tuple[Intent, ...]:
    """A stable that somebody replaced by another of its name has nothing of ours that could be taken back."""
    name, found = release.target.deployment, release.as_found
    if found is None or (seen.stable is not None and seen.stable.uid == found.stable.uid):
        return release.intents
    return drop(release.intents, Kind.DEPLOYMENT, name)


def fail(decision: Decision, seen: Observation, now: int, cause: Cause, *, pause: bool = False) -> Decision:
    """A failure was found: cause told, then rolled back, or paused where the catalog or the class says so."""
    release = decision.release
    decision = decision.tell(now, EventKind.FAILURE, cause.summary, evidence=cause.evidence)
    if pause or release.rules.on_failure == "pause":
        paused = replace(with_roll_paused(release), cause=cause, paused_from=release.phase)
        decision = decision.changed(into(paused, Phase.PAUSED, now)).wake(now)
        return decision.tell(now, EventKind.PAUSED, "paused: resume to go on, abort to take it back")
    return turn_back(decision, seen, now, ends_as=Phase.ROLLED_BACK, cause=cause)


def _go_on(decision: Decision, seen: Observation, now: int) -> Decision:
    release = decision.release
    if release.leg is Leg.BACK and release.at_step < 0:  # asked for while the cluster was not being looked at
        ends_as, cause = release.ends_as or Phase.ABORTED, release.cause or Cause(FailureClass.REQUEST, "aborted")
        return _walk(turn_back(decision, seen, now, ends_as=ends_as, cause=cause), seen, now)
    intents, drift = look(release.intents, seen)
    decision = decision.changed(replace(release, intents=intents))
    drifted = _on_drift(decision, drift, seen, now)
    if drifted is not None:
        return _walk(drifted, seen, now) if drifted.release.leg is not decision.release.leg else drifted
    if decision.release.phase is Phase.DRIFTED:
        decision = decision.changed(after_drift(decision.release, now)).tell(
            now, EventKind.DRIFT_ENDED, "as intended again: going on"
        )
    decision = rewrite_drifted(decision, seen)
    if decision.actions:
        return decision
    if decision.release.phase is Phase.AWAITING_APPROVAL and decision.release.plan is not None:
        decision, passed = at_gates(decision, decision.release.plan.start, now, seen)
        if decision.release.leg is Leg.BACK:
            return turn_back_after_gate(decision, seen, now)
        if not passed:
            return decision
        decision = enter_step(decision, 0, now)
    if decision.release.phase is Phase.PAUSED:
        return _paused(decision, seen, now)
    return _walk(decision, seen, now)


def _walk(decision: Decision, seen: Observation, now: int) -> Decision:
    """From step to step as far as this observation carries."""
    while not decision.release.phase.is_final and decision.release.at_step < len(decision.release.steps):
        decision, moved = _in_step(decision, seen, now)
        if not moved:
            return decision
    return decision if decision.release.phase.is_final else _arrived(decision, seen, now)


def turn_back_after_gate(decision: Decision, seen: Observation, now: int) -> Decision:
    """A gate expired with `on_expiry: abort`."""
    cause = decision.release.cause or Cause(FailureClass.REQUEST, "approval expired")
    return turn_back(decision, seen, now, ends_as=Phase.EXPIRED, cause=cause)


def _arrived(decision: Decision, seen: Observation, now: int) -> Decision:
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
        if seen.stable is None or (release.as_found is not None and seen.stable.uid != release.as_found.stable.uid):
            text = f"what the release made is removed; {release.target.deployment} itself was deleted by somebody: {why}"
        return finish(decision, ended, now, text)
    verb = "has" if isinstance(release.change, Scale) else "is on"
    return finish(decision, Phase.SUCCEEDED, now, f"{release.target.app} {verb} {release.to_version}")


# --- drift ------------------------------------------------------------------------------------------------------------


def _on_drift(decision: Decision, drift: tuple[Drift, ...], seen: Observation, now: int) -> Decision | None:
    release = decision.release
    if release.leg is Leg.BACK and (seen.stable is None or _replaced(release, seen)):
        drift = tuple(d for d in drift if d.name != release.target.deployment)
    elif seen.stable is None:
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
    waited = now - release.phase_since if release.phase is Phase.PAUSED else 0
    release = replace(
        release, drift=drift, drifted_from=release.phase, step_paused_ms=release.step_paused_ms + waited
    )
    decision = decision.changed(into(release, Phase.DRIFTED, now))
    return decision.tell(now, EventKind.DRIFTED, f"changed past the release, holding: {told}"[:900])


def _replaced(release: Release, seen: Observation) -> bool:
    return seen.stable is not None and release.as_found is not None and seen.stable.uid != release.as_found.stable.uid


def after_drift(release: Release, now: int) -> Release:
    """Where it was before, be that a pause; the time in between does not count against deadlines."""
    since = now - release.phase_since
    back = replace(release, drift=(), drifted_from=None, step_paused_ms=release.step_paused_ms + since)
    return into(back, release.drifted_from or Phase.PROGRESSING, now)


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
    if _is_foreign(decision.release, step, seen):
        name = decision.release.candidate_name
        cause = Cause(FailureClass.DRIFT, f"somebody else made {name} meanwhile; remove or rename it, then start again")
        told = decision.tell(now, EventKind.FAILURE, cause.summary)
        return turn_back(told, seen, now, ends_as=Phase.ABORTED, cause=cause), True
    if decision.release.gate is None:
        decision, settled = pursue(decision, step.goals, seen)
        reached = settled and not decision.actions and true_now(decision.release, seen, step.until)
        if not reached:
            return _watch_deadline(decision, step, seen, now)
        if step.until:
            decision = decision.tell(now, EventKind.STEP_DONE, f"{step.title}: done")
    else:
        decision, settled = pursue(decision, step.goals, seen)
        if not settled:
            return decision, False
    decision, passed = at_gates(decision, step.gates, now, seen)
    if decision.release.leg is Leg.BACK and decision.release.at_step < 0:
        return turn_back_after_gate(decision, seen, now), True
    if not passed:
        return decision, False
    return enter_step(decision, decision.release.at_step + 1, now), True


def _is_foreign(release: Release, step: Step, seen: Observation) -> bool:
    """The candidate's name is taken by an object that this release neither made nor adopted."""
    wants = any(isinstance(goal, DeploymentGoal) and goal.role is Role.CANDIDATE for goal in step.goals)
    return release.leg is Leg.FORWARD and wants and seen.candidate is not None and not is_ours(release, seen.candidate)


def _watch_deadline(decision: Decision, step: Step, seen: Observation, now: int) -> tuple[Decision, bool]:
    release = decision.release
    deadline_ms = step.deadline_ms or MINIMUM_DEADLINE_MS
    ends = release.step_began_at + deadline_ms + release.step_paused_ms
    if now < ends:
        return decision.wake(ends), False
    waiting = f"; {release.environment.summary}" if release.environment else ""
    if release.leg is Leg.BACK or step.deadline_ms is None:  # nothing to take back, or nothing to take it back for
        release = replace(release, step_began_at=now, step_paused_ms=0)
        what = "still not back" if release.leg is Leg.BACK else "still not done"
        text = f"{what} after {deadline_ms // 60_000} min: {step.title}{waiting}; an admin may end it with abort --force"
        return decision.changed(release).tell(now, EventKind.REMINDED, text).wake(now + deadline_ms), False
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
        found = assess(seen, role, release.rules, now, release.tolerated)
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
            decision.changed(replace(release, environment=None, environment_since=0, environment_asked=False))
            if release.environment
            else decision
        )
    since = release.environment_since or now
    asked = release.environment_asked
    if now - since >= ENVIRONMENT_PATIENCE_MS and not asked:
        text = f"waiting since {(now - since) // 60_000} min: {cause.summary}; it is not the new version's fault. Abort, or wait?"
        decision = decision.tell(now, EventKind.ENVIRONMENT, text, evidence=cause.evidence)
        asked = True
    decision = decision.changed(replace(release, environment=cause, environment_since=since, environment_asked=asked))
    return decision if asked else decision.wake(since + ENVIRONMENT_PATIENCE_MS)


# --- paused -----------------------------------------------------------------------------------------------------------


def with_roll_paused(release: Release) -> Release:
    """A pause in the middle of a roll stops the Deployment's own controller too; before and after it there is nothing to stop."""
    name = release.target.deployment
    template = find(release.intents, Kind.DEPLOYMENT, name, Field.TEMPLATE)
    rolling = (
        release.leg is Leg.FORWARD
        and 0 <= release.at_step < len(release.steps)
        and release.gate is None
        and template is not None
        and template.written
        and any(
            isinstance(g, DeploymentGoal) and g.role is Role.STABLE and g.template is not None
            for g in release.steps[release.at_step].goals
        )
    )
    if not rolling:
        return release
    old = find(release.intents, Kind.DEPLOYMENT, name, Field.PAUSED)
    paused = Intent(Kind.DEPLOYMENT, name, Field.PAUSED, False, True, written=True, reverts=old.reverts if old else 0)
    return replace(release, intents=put(release.intents, paused))


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
        decision = decision.wake(found.next_ripe_at)
        failed = found.permanent or (found.persistent if found.all_failed else ())
        if failed and seen.candidate.replicas > 0:
            cause = release.cause or cause_of(failed, len(failed))
            decision = decision.changed(replace(release, cause=cause))
            settled = settle(decision.release.intents, Kind.DEPLOYMENT, seen.candidate, {Field.REPLICAS: 0})
            decision = decision.changed(replace(decision.release, intents=settled.intents))
            patch = PatchDeployment(seen.candidate.name, seen.candidate.uid, seen.candidate.claim, settled.changes)
            return decision.tell(now, EventKind.FAILURE, cause.summary, evidence=cause.evidence).doing(patch)
    return decision
