"""decide(release, seen, now): what happens next to a release. Pure, total, and the same for every
strategy.

The order of a decision is the order of its dangers: can the cluster be seen; is there a plan; did
somebody else change what we depend on; is it paused; is it broken; and only then: what does the
current step still need.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.card_snapshot import take_card_snapshot
from bot.releases.assess.intents import confirm_intents, deployment_of, find, is_ours, set_fields
from bot.releases.assess.pod_failures import assess, cause_of
from bot.releases.assess.rollout import is_complete, newest, pods_of, ready_endpoints
from bot.releases.engine.decision import (
    RESYNC_MS,
    Decision,
    enter_phase,
    finish,
    not_counting,
    resync_ms,
)
from bot.releases.engine.drift import after_drift, handle_drift, was_replaced
from bot.releases.engine.gates import at_gates
from bot.releases.engine.probing import pods_to_probe, record_probe
from bot.releases.engine.reconcile import conditions_hold, reconcile, rewrite_drifted
from bot.releases.engine.reminders import remind
from bot.releases.engine.transitions import enter_step, fail, roll_back
from bot.releases.facts.actions import PatchDeployment
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Restart, Scale
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import Observation, Seen, Unreachable
from bot.releases.facts.plan import Condition, DeploymentGoal, Side, Step, plan_hash
from bot.releases.facts.release import ClusterTrouble, Outage, Phase, Progress, Release
from bot.releases.facts.target import Strategy
from bot.releases.planning.as_found import as_found_hash, as_found_of, seed_intents
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS
from bot.releases.planning.draft import make_draft, with_notes
from bot.releases.planning.refusals import PlanRefused
from bot.releases.strategies import STRATEGIES

ENVIRONMENT_PATIENCE_MS = 300_000
LATE_WRITE_MS = 10_000  # a lease: by then whoever sent it has been ended, and its request with it


def decide(release: Release, seen: Seen, now: int) -> Decision:
    """One observation of the cluster, one decision. A final release does nothing; one without
    as-found facts writes nothing."""
    if release.phase.is_final:
        return Decision(release)
    if isinstance(seen, Unreachable):
        return remind(_unreachable(release, seen, now), now)
    decision = Decision(release)
    if release.unreachable is not None:
        # their own time is left out already
        stands_still = release.phase in (Phase.PAUSED, Phase.DRIFTED)
        away = 0 if stands_still else now - release.unreachable.since
        decision = decision.changed(
            replace(release, unreachable=None, progress=not_counting(release.progress, away))
        )
        decision = decision.record(
            now, EventKind.REACHABLE, f"{release.target.cluster} answers again"
        )
    decision = decision.changed(
        replace(decision.release, card_snapshot=take_card_snapshot(decision.release, seen))
    )
    if decision.release.plan is None or decision.release.as_found is None:
        return _begin(decision, seen, now)
    decision = _continue_release(decision, seen, now)
    return (
        decision
        if decision.release.phase.is_final
        else remind(decision.wake(now + resync_ms(decision.release.phase)), now)
    )


def _unreachable(release: Release, seen: Unreachable, now: int) -> Decision:
    since = release.unreachable.since if release.unreachable else now
    wait = min(15_000, max(1_000, (now - since) // 2))
    decision = Decision(replace(release, unreachable=Outage(since, seen.why)), wake_at=now + wait)
    if release.unreachable is None:
        decision = decision.record(
            now,
            EventKind.UNREACHABLE,
            f"{release.target.cluster} cannot be reached ({seen.why}): holding, nothing is changed"
            " meanwhile",
        )
    return decision


def _begin(decision: Decision, seen: Observation, now: int) -> Decision:
    """Plan and save as-found facts; writes nothing to the cluster."""
    release = decision.release
    settling = release.plan_changed and seen.stable is not None and not is_complete(seen.stable)
    if (
        settling and now < release.phase_since + MINIMUM_DEADLINE_MS
    ):  # what was adopted is still on its way
        return decision.wake(now + RESYNC_MS)
    ways = STRATEGIES[release.strategy]
    try:
        draft, notes = make_draft(release, seen, now)
        plan = with_notes(ways.plan(draft), notes)
        found = as_found_of(release, plan, seen, now)
    except PlanRefused as refused:
        cause = Cause(FailureClass.REFUSED, str(refused))
        failed = decision.changed(replace(release, cause=cause)).record(
            now, EventKind.REFUSED, str(refused)
        )
        return finish(failed, Phase.FAILED, now, f"not started: {refused}")
    plan = replace(plan, as_found_hash=as_found_hash(found))
    plan = replace(plan, hash=plan_hash(plan))
    from_version, to_version = plan.from_version, plan.version
    if isinstance(release.change, Scale):
        from_version, to_version = (
            counted(draft.stable.replicas, "pod"),
            counted(release.change.replicas, "pod"),
        )
    elif isinstance(release.change, Restart):
        to_version = f"{from_version}, restarted"
    release = replace(
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
    release = enter_phase(
        release, Phase.AWAITING_APPROVAL if plan.start else Phase.PROGRESSING, now
    )
    release = replace(release, card_snapshot=take_card_snapshot(release, seen))
    decision = decision.changed(release).record(
        now, EventKind.PLANNED, f"{from_version} → {to_version}, {release.strategy.value}"
    )
    if not plan.start:
        decision = enter_step(decision, 0, now)
    else:
        decision, _ = at_gates(decision, plan.start, now, seen)
    return decision.wake(now)


def _continue_release(decision: Decision, seen: Observation, now: int) -> Decision:
    release = decision.release
    # asked for while the cluster was not being looked at; or what it would go back to is gone, so
    # that there is another way
    if release.rollback is not None and (
        release.progress.at_step < 0 or _lost_stable(release, seen)
    ):
        settled_at = release.phase_since + LATE_WRITE_MS
        if (
            release.progress.at_step < 0
            and now < settled_at
            and _may_still_be_written(release, seen)
        ):
            return decision.wake(settled_at)
        ends_as, cause = (
            release.rollback.ends_as,
            release.cause or Cause(FailureClass.REQUEST, "aborted"),
        )
        return _run_steps(roll_back(decision, seen, now, ends_as=ends_as, cause=cause), seen, now)
    intents, drift = confirm_intents(release.intents, seen)
    decision = decision.changed(replace(release, intents=intents))
    drifted = handle_drift(decision, drift, seen, now)
    if _is_deserted(release, seen) and (
        drifted is None or (drifted.release.rollback is None) is (release.rollback is None)
    ):
        cause = Cause(
            FailureClass.ENVIRONMENT,
            f"no pod of {release.candidate_name} is ready any more, and"
            f" {release.target.deployment} is",
        )
        told = decision.record(now, EventKind.FAILURE, cause.summary, evidence=seen.events[:3])
        return _run_steps(
            roll_back(told, seen, now, ends_as=Phase.ROLLED_BACK, cause=cause), seen, now
        )
    if drifted is not None:
        if (drifted.release.rollback is None) is (decision.release.rollback is None):
            drifted = _on_permanent_failure(drifted, seen, now)
        return (
            _run_steps(drifted, seen, now)
            if (drifted.release.rollback is None) is not (decision.release.rollback is None)
            else drifted
        )
    if decision.release.phase is Phase.DRIFTED:
        decision = decision.changed(after_drift(decision.release, now)).record(
            now, EventKind.DRIFT_ENDED, "as intended again: going on"
        )
    decision = rewrite_drifted(decision, seen)
    if decision.actions:
        return decision
    if decision.release.phase is Phase.AWAITING_APPROVAL and decision.release.plan is not None:
        decision, passed = at_gates(decision, decision.release.plan.start, now, seen)
        if decision.release.rollback is not None:
            return roll_back_expired(decision, seen, now)
        if not passed:
            return decision
        decision = enter_step(decision, 0, now)
    if decision.release.phase is Phase.PAUSED:
        judged = _on_permanent_failure(decision, seen, now)
        return (
            _run_steps(judged, seen, now)
            if judged.release.rollback is not None
            else _paused(judged, seen, now)
        )
    return _run_steps(decision, seen, now)


def _is_deserted(release: Release, seen: Observation) -> bool:
    """People were sent to a candidate of which nothing is left, whatever took it, while stable
    could serve them: neither a pause nor the cluster's trouble is a reason to leave them with
    nobody.
    """
    if (
        release.rollback is not None
        or release.plan is None
        or release.plan.candidate_selector is None
    ):
        return False
    sent = any(
        intent.kind is Kind.SERVICE and intent.field is Field.SELECTOR and intent.written
        for intent in release.intents
    )
    left = any(pod.ready and not pod.terminating for pod in pods_of(seen.candidate))
    served = ready_endpoints(seen, seen.candidate, release.target.services) or ready_endpoints(
        seen, seen.stable, release.target.services
    )
    return (
        sent
        and not left
        and not served
        and conditions_hold(release, seen, (Condition.STABLE_TAKES_OVER,))
    )


def _lost_stable(release: Release, seen: Observation) -> bool:
    return (
        seen.stable is None
        and find(release.intents, Kind.DEPLOYMENT, release.target.deployment, Field.EXISTS)
        is not None
    )


def _may_still_be_written(release: Release, seen: Observation) -> bool:
    """A write that was announced and is not to be seen may be on its way to the API server, which
    may carry out what the bot gave up on: the way back is planned when it has come, or cannot come
    any more. Else it might come after the end.
    """
    intents, _ = confirm_intents(release.intents, seen)
    return any(intent.written and not intent.confirmed for intent in intents)


def _run_steps(decision: Decision, seen: Observation, now: int) -> Decision:
    """From step to step as far as this observation carries."""
    while not decision.release.phase.is_final and decision.release.progress.at_step < len(
        decision.release.steps
    ):
        decision, moved = _in_step(decision, seen, now)
        if not moved:
            return decision
    return decision if decision.release.phase.is_final else _finish_leg(decision, seen, now)


def roll_back_expired(decision: Decision, seen: Observation, now: int) -> Decision:
    """A gate expired with `on_expiry: abort`."""
    cause = decision.release.cause or Cause(FailureClass.REQUEST, "approval expired")
    return roll_back(decision, seen, now, ends_as=Phase.EXPIRED, cause=cause)


def _finish_leg(decision: Decision, seen: Observation, now: int) -> Decision:
    release = decision.release
    if release.rollback is not None:
        ended = release.rollback.ends_as
        why = release.cause.summary if release.cause else ""
        words = {
            Phase.ROLLED_BACK: "rolled back",
            Phase.ABORTED: "aborted",
            Phase.EXPIRED: "expired",
            Phase.REJECTED: "rejected",
        }
        word = words.get(ended, ended.value)
        ending = why if why.startswith(word) else f"{word}: {why}"
        text = f"{release.target.app} is back on {release.from_version}, {ending}"
        if seen.stable is None or was_replaced(release, seen):
            left = next(
                (step.title for step in release.rollback.steps if step.name == "green stays"),
                "what the release made is removed",
            )
            text = f"{left}; {release.target.deployment} itself was deleted by somebody: {why}"
        return finish(decision, ended, now, text)
    verb = "has" if isinstance(release.change, Scale) else "is on"
    return finish(
        decision, Phase.SUCCEEDED, now, f"{release.target.app} {verb} {release.to_version}"
    )


# --- steps ----------------------------------------------------------------------------------------


def _in_step(decision: Decision, seen: Observation, now: int) -> tuple[Decision, bool]:
    """Carry on with the current step. True: it is done and the next one is entered."""
    step = decision.release.steps[decision.release.progress.at_step]
    broken = _judge_pods(decision, step, seen, now)
    if (broken.release.rollback is None) is not (
        decision.release.rollback is None
    ) or broken.release.phase is not decision.release.phase:
        if broken.release.phase is Phase.ROLLING_BACK and decision.release.rollback is None:
            return broken, True
        return broken, False
    decision = broken
    if _is_foreign(decision.release, step, seen):
        name = decision.release.candidate_name
        cause = Cause(
            FailureClass.DRIFT,
            f"somebody else made {name} meanwhile; remove or rename it, then start again",
        )
        told = decision.record(now, EventKind.FAILURE, cause.summary)
        return roll_back(told, seen, now, ends_as=Phase.ABORTED, cause=cause), True
    decision = record_probe(decision, seen, now)
    if decision.release.progress.gate is None:
        decision, settled = reconcile(decision, step.goals, seen)
        reached = (
            settled and not decision.actions and conditions_hold(decision.release, seen, step.until)
        )
        if not reached:
            return _watch_deadline(decision, step, seen, now)
        if step.until:
            decision = decision.record(now, EventKind.STEP_DONE, f"done: {step.title}")
    else:
        decision, settled = reconcile(decision, step.goals, seen)
        if not settled:
            return decision, False
    decision, passed = at_gates(decision, step.gates, now, seen)
    if decision.release.rollback is not None and decision.release.progress.at_step < 0:
        return roll_back_expired(decision, seen, now), True
    if not passed:
        return decision, False
    return enter_step(decision, decision.release.progress.at_step + 1, now), True


def _is_foreign(release: Release, step: Step, seen: Observation) -> bool:
    """The candidate's name is taken by an object that this release neither made nor adopted."""
    wants = any(
        isinstance(goal, DeploymentGoal) and goal.side is Side.CANDIDATE for goal in step.goals
    )
    return (
        release.rollback is None
        and wants
        and seen.candidate is not None
        and not is_ours(release, seen.candidate)
    )


def step_ends_at(release: Release) -> int | None:
    """When the current step is over its deadline, or is reminded of; None outside of steps.

    People are asked about the environment, and have as long again to answer; counted from the step,
    so that flapping resets nothing.
    """
    if not 0 <= release.progress.at_step < len(release.steps):
        return None
    return (
        release.progress.began_at
        + _patience_ms(release, release.steps[release.progress.at_step])
        + release.progress.paused_ms
    )


def _patience_ms(release: Release, step: Step) -> int:
    least_ms = 2 * ENVIRONMENT_PATIENCE_MS if release.progress.trouble else 0
    return max(step.deadline_ms or MINIMUM_DEADLINE_MS, least_ms)


def _watch_deadline(
    decision: Decision, step: Step, seen: Observation, now: int
) -> tuple[Decision, bool]:
    release = decision.release
    deadline_ms = _patience_ms(release, step)
    ends = release.progress.began_at + deadline_ms + release.progress.paused_ms
    if seen.probe is None and pods_to_probe(release, seen):
        decision = decision.wake(now)  # to observe once more, and ask
    if now < ends:
        return decision.wake(ends), False
    waiting = f"; {release.progress.trouble.cause.summary}" if release.progress.trouble else ""
    waiting += f"; {release.progress.probe_failure}" if release.progress.probe_failure else ""
    if (
        release.rollback is not None or step.deadline_ms is None
    ):  # nothing to take back, or nothing to take it back for
        release = replace(release, progress=replace(release.progress, began_at=now, paused_ms=0))
        what = "still not back" if release.rollback is not None else "still not done"
        text = (
            f"{what} after {deadline_ms // 60_000} min: {step.title}{waiting}; an admin may end it"
            " with abort --force"
        )
        return (
            decision.changed(release).record(now, EventKind.REMINDED, text).wake(now + deadline_ms),
            False,
        )
    deployment = deployment_of(seen, step.watches[0]) if step.watches else seen.stable
    ready = (
        f"{deployment.available} of {deployment.replicas} available, {deployment.updated} updated"
        if deployment
        else ""
    )
    cause = Cause(
        FailureClass.DEADLINE,
        f"not complete after {deadline_ms // 60_000} min ({ready}){waiting}",
        seen.events[:3],
    )
    failed = fail(decision, seen, now, cause)
    return failed, failed.release.phase is Phase.ROLLING_BACK


def _judge_pods(decision: Decision, step: Step, seen: Observation, now: int) -> Decision:
    """Failing fast, not rashly: only live pods of the newest ReplicaSet of what this step
    watches."""
    release = decision.release
    if release.rollback is not None:
        return decision
    environment: Cause | None = None
    for role in step.watches:
        deployment = deployment_of(seen, role)
        replica_set = newest(deployment) if deployment else None
        if (
            deployment is None
            or replica_set is None
            or not _is_ours(release, role, deployment.template)
        ):
            continue
        found = assess(seen, role, release.rules, now, release.tolerated)
        total = sum(1 for pod in replica_set.pods if not pod.terminating)
        if found.permanent:
            return fail(decision, seen, now, cause_of(found.permanent, total))
        if found.persistent:
            return fail(
                decision, seen, now, cause_of(found.persistent, total), pause=not found.all_failed
            )
        decision = decision.wake(found.next_ripe_at)
        if found.environment:
            environment = cause_of(found.environment, total)
        elif found.blocked:
            environment = Cause(FailureClass.ENVIRONMENT, found.blocked[:400])
    return _environment(decision, environment, now)


def _on_permanent_failure(decision: Decision, seen: Observation, now: int) -> Decision:
    """Paused or drifted, what can never become ready is taken back all the same; not where somebody
    else's template is the bad one."""
    release = decision.release
    if (
        release.rollback is not None
        or release.rules.on_failure == "pause"
        or not 0 <= release.progress.at_step < len(release.steps)
    ):
        return decision
    theirs = {d.name for d in release.drift if d.field in (Field.TEMPLATE, Field.EXISTS)}
    for role in release.steps[release.progress.at_step].watches:
        deployment = deployment_of(seen, role)
        if (
            deployment is None
            or deployment.name in theirs
            or not _is_ours(release, role, deployment.template)
        ):
            continue
        found = assess(seen, role, release.rules, now, release.tolerated)
        if found.permanent:
            return fail(decision, seen, now, cause_of(found.permanent, len(found.permanent)))
    return decision


def _is_ours(release: Release, role: Side, template: object) -> bool:
    """Pods of the old template are not judged: the roll has not begun for the controller."""
    if role is Side.CANDIDATE or isinstance(release.change, Scale):
        return True
    return release.as_found is None or template != release.as_found.stable.template


def _environment(decision: Decision, cause: Cause | None, now: int) -> Decision:
    release = decision.release
    if cause is None:
        return (
            decision.changed(_with_trouble(release, None)) if release.progress.trouble else decision
        )
    trouble = release.progress.trouble
    since = trouble.since if trouble else now
    asked = trouble.asked if trouble else False
    if now - since >= ENVIRONMENT_PATIENCE_MS and not asked:
        text = (
            f"waiting since {(now - since) // 60_000} min: {cause.summary}; it is not the new"
            " version's fault. Abort, or wait?"
        )
        decision = decision.record(now, EventKind.ENVIRONMENT, text, evidence=cause.evidence)
        asked = True
    decision = decision.changed(_with_trouble(release, ClusterTrouble(cause, since, asked)))
    return decision if asked else decision.wake(since + ENVIRONMENT_PATIENCE_MS)


def _with_trouble(release: Release, trouble: ClusterTrouble | None) -> Release:
    return replace(release, progress=replace(release.progress, trouble=trouble))


# --- paused ---------------------------------------------------------------------------------------


def _paused(decision: Decision, seen: Observation, now: int) -> Decision:
    """Writes nothing but what the pause itself needs, and the safety action: a candidate that
    failed goes to 0."""
    release = decision.release
    pause = find(release.intents, Kind.DEPLOYMENT, release.target.deployment, Field.PAUSED)
    if (
        pause is not None
        and pause.after is True
        and not pause.confirmed
        and seen.stable is not None
        and not seen.stable.paused
    ):
        settled = set_fields(release.intents, Kind.DEPLOYMENT, seen.stable, {Field.PAUSED: True})
        decision = decision.changed(replace(release, intents=settled.intents))
        return decision.doing(
            PatchDeployment(seen.stable.name, seen.stable.uid, seen.stable.claim, settled.changes)
        )
    if (
        release.strategy is Strategy.CANARY
        and seen.candidate is not None
        and release.rollback is None
    ):
        found = assess(seen, Side.CANDIDATE, release.rules, now)
        decision = decision.wake(found.next_ripe_at)
        failed = found.permanent or (found.persistent if found.all_failed else ())
        if failed and seen.candidate.replicas > 0:
            cause = release.cause or cause_of(failed, len(failed))
            decision = decision.changed(replace(release, cause=cause))
            settled = set_fields(
                decision.release.intents, Kind.DEPLOYMENT, seen.candidate, {Field.REPLICAS: 0}
            )
            decision = decision.changed(replace(decision.release, intents=settled.intents))
            patch = PatchDeployment(
                seen.candidate.name, seen.candidate.uid, seen.candidate.claim, settled.changes
            )
            return decision.record(
                now, EventKind.FAILURE, cause.summary, evidence=cause.evidence
            ).doing(patch)
    return decision
