"""What the new pods' failures do to a release: fail fast, not rashly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bot.releases.assess.container_failures import keeps_ending
from bot.releases.assess.intents import deployment_of
from bot.releases.assess.pod_failures import Assessment, assess, cause_of
from bot.releases.assess.rollout import newest, pods_of, ready_endpoints
from bot.releases.engine.cluster_trouble import record_trouble
from bot.releases.engine.decision import Decision, enter_phase
from bot.releases.engine.outcome import Outcome, Proceed, RollBack, Stop
from bot.releases.engine.reconcile import conditions_hold
from bot.releases.engine.transitions import with_roll_paused
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Scale
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Condition, Side, Step
from bot.releases.facts.release import Phase, Release


def fail(decision: Decision, now: int, cause: Cause, *, pause: bool = False) -> Outcome:
    """Record the failure, then roll back, or pause where the catalog or the class says so."""
    release = decision.release
    decision = decision.record(now, EventKind.FAILURE, cause.summary, evidence=cause.evidence)
    if not pause and release.rules.on_failure == "rollback":
        return RollBack(decision, cause, Phase.ROLLED_BACK)
    paused = replace(with_roll_paused(release), cause=cause, paused_from=release.phase)
    decision = decision.changed(enter_phase(paused, Phase.PAUSED, now)).wake(now)
    text = "paused: resume to continue, or abort to roll back"
    return Stop(decision.record(now, EventKind.PAUSED, text))


def judge_pods(decision: Decision, step: Step, seen: Observation, now: int) -> Outcome:
    """Only live pods of the newest ReplicaSet of what this step watches."""
    release = decision.release
    if release.rollback is not None:
        return Proceed(decision)
    trouble: Cause | None = None
    for side, deployment in _watched(release, step, seen):
        replica_set = newest(deployment)
        if replica_set is None:
            continue
        found = _assess(release, side, seen, now)
        total = sum(1 for pod in replica_set.pods if not pod.terminating)
        failed = found.permanent or found.persistent
        if failed and isinstance(release.change, Scale):
            # the template runs already: what fails is no reason to remove the pods that are ready
            trouble = replace(cause_of(failed, total), failure=FailureClass.ENVIRONMENT)
            continue
        if found.permanent:
            return fail(decision, now, cause_of(found.permanent, total))
        if found.persistent:
            cause = cause_of(found.persistent, total)
            return fail(decision, now, cause, pause=not found.all_failed)
        decision = decision.wake(found.next_ripe_at)
        if found.unplaceable:
            trouble = cause_of(found.unplaceable, total)
        elif found.environment:
            trouble = cause_of(found.environment, total)
        elif found.blocked:
            trouble = Cause(FailureClass.ENVIRONMENT, found.blocked[:400])
    return Proceed(record_trouble(decision, trouble, now))


def _assess(release: Release, side: Side, seen: Observation, now: int) -> Assessment:
    before = release.as_found.stable.template if release.as_found else None
    at = release.in_cluster_time(now)
    return _woken_in_time(
        assess(seen, side, release.rules, at, release.tolerated, before=before), now - at
    )


def assess_candidate(release: Release, seen: Observation, now: int) -> Assessment:
    """Whatever a person tolerated, and whatever ran before."""
    at = release.in_cluster_time(now)
    return _woken_in_time(assess(seen, Side.CANDIDATE, release.rules, at), now - at)


def _woken_in_time(found: Assessment, apart: int) -> Assessment:
    if found.next_ripe_at is None:
        return found
    return replace(found, next_ripe_at=found.next_ripe_at + apart)


def judge_permanent_failures(decision: Decision, seen: Observation, now: int) -> Outcome:
    """Rolls back even while paused or drifted; not where the bad template came from outside."""
    release = decision.release
    step = release.current_step
    if release.rollback is not None or release.rules.on_failure == "pause" or step is None:
        return Proceed(decision)
    if isinstance(release.change, Scale):
        return Proceed(decision)
    theirs = {d.name for d in release.drift if d.field in (Field.TEMPLATE, Field.EXISTS)}
    for side, deployment in _watched(release, step, seen):
        if deployment.name in theirs:
            continue
        found = _assess(release, side, seen, now)
        if found.permanent:
            return fail(decision, now, cause_of(found.permanent, len(found.permanent)))
    return Proceed(decision)


@dataclass(frozen=True)
class Crash:
    """``container``: None where only the pod is known."""

    pod: str
    container: str | None
    restarts: int = 0


def crashes(release: Release, seen: Observation) -> tuple[Crash, ...]:
    """Of the new pods that this step watches: what has ended, whether it counts yet or not."""
    step = release.current_step
    if release.rollback is not None or step is None:
        return ()
    sets = (newest(deployment) for _, deployment in _watched(release, step, seen))
    pods = (pod for one in sets if one for pod in one.pods if not pod.terminating)
    ended = ((pod, next(filter(keeps_ending, pod.containers), None)) for pod in pods)
    return tuple(Crash(pod.name, one.name, one.restarts) for pod, one in ended if one)


def _watched(
    release: Release, step: Step, seen: Observation
) -> Iterator[tuple[Side, DeploymentSeen]]:
    """Pods of the old template are not judged: the controller has not begun the roll."""
    for side in step.watches:
        deployment = deployment_of(seen, side)
        if deployment is not None and _has_new_template(release, side, deployment):
            yield side, deployment


def _has_new_template(release: Release, side: Side, deployment: DeploymentSeen) -> bool:
    if side is Side.CANDIDATE or isinstance(release.change, Scale):
        return True
    return release.as_found is None or deployment.template != release.as_found.stable.template


def leave_deserted_candidate(decision: Decision, seen: Observation, now: int) -> Outcome:
    """Traffic was sent to a candidate that has no ready pod left, for whatever reason, while stable
    could serve: neither a pause nor the cluster's trouble justifies leaving people with nothing."""
    release = decision.release
    if not _is_deserted(release, seen):
        return Proceed(decision)
    cause = Cause(
        FailureClass.ENVIRONMENT,
        f"no pod of {release.candidate_name} is ready any more, and {release.target.deployment} is",
    )
    recorded = decision.record(now, EventKind.FAILURE, cause.summary, evidence=seen.events[:3])
    return RollBack(recorded, cause, Phase.ROLLED_BACK)


def _is_deserted(release: Release, seen: Observation) -> bool:
    if release.rollback or release.plan is None or release.plan.candidate_selector is None:
        return False
    switched = any(
        intent.kind is Kind.SERVICE and intent.field is Field.SELECTOR and intent.written
        for intent in release.intents
    )
    services = release.target.services
    return (
        switched
        and not any(pod.ready and not pod.terminating for pod in pods_of(seen.candidate))
        and not ready_endpoints(seen, seen.candidate, services)
        and not ready_endpoints(seen, seen.stable, services)
        and conditions_hold(release, seen, (Condition.STABLE_TAKES_OVER,))
    )
