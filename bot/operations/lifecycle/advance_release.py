"""One tick: load, observe, decide, save what is intended, apply, say when to look again. A crash
anywhere is repaired by a tick."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

from bot.operations.context import Context, left_to_newer
from bot.operations.lifecycle.prepare_release import app_key, prepare_release
from bot.policy.redaction import redact_lines
from bot.ports import (
    Cluster,
    ClusterUnreachable,
    PreconditionFailed,
    Refused,
    SlackUnavailable,
    UnknownSchema,
    VersionConflict,
)
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.engine.deadlines import step_ends_at
from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.probing import pods_to_probe
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import Action, PatchDeployment, PatchService
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.changes import Deploy, Reapply
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.observation import Observation, Seen, Unreachable
from bot.releases.facts.plan import DeploymentGoal, Side
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Refuse
from bot.releases.facts.target import Strategy, default_candidate_name

TICK_BUDGET_S = 6.0
ATTEMPTS = 4
QUEUE_LOOK_MS = 30_000
WHICH_CLUSTER_MS = 1_000
SLACK_AWAY_MS = 5_000
AFTER_WRITE_MS = 250  # the watcher usually comes first; this is for when it is away


def advance_release(context: Context, release_id: str) -> int | None:
    """Returns when to look again (milliseconds of Redis TIME), None when the release is over or
    unknown."""
    ends = time.monotonic() + TICK_BUDGET_S
    wake: int | None = None
    for _ in range(ATTEMPTS):
        try:
            release = context.store.load(release_id)
        except KeyError:
            return None
        except UnknownSchema:
            return left_to_newer(context)
        if release.phase.is_final:
            return None
        try:
            wake, again = _tick(context, release, ends)
        except VersionConflict:
            wake, again = context.store.now(), True
        if not again or time.monotonic() > ends:
            break
    return wake


def _tick(context: Context, release: Release, ends: float) -> tuple[int | None, bool]:
    """(next wake, whether to observe and decide again at once)."""
    locked_at = ""
    if release.phase is Phase.QUEUED and (locked_at := _cluster_uid(context, release)):
        waiting = _stand_in_line(context, release, locked_at)
        if waiting is not None:
            return waiting, False
    # only now: what was seen before the lock was ours may be another release's half-done work
    cluster, seen = _look(context, release)
    if release.phase is Phase.QUEUED:
        if (
            isinstance(seen, Observation) and seen.cluster_uid != locked_at
        ):  # it did not say, or its name means another one by now
            return context.store.now() + WHICH_CLUSTER_MS, False
        if (
            isinstance(seen, Observation)
            and release.plan is None
            and not isinstance(release.change, Reapply)
        ):
            faced = retarget_to_serving(release.target, seen)
            if (
                faced != release.target
            ):  # people are sent to the other one of a pair: the change is meant for that
                release = replace(release, target=faced)
                cluster, seen = _look(context, release)
        if isinstance(seen, Observation):
            try:
                ready = prepare_release(context, release, seen)
            except SlackUnavailable:  # nobody knows whether the starter still may
                return context.store.now() + SLACK_AWAY_MS, False
            if isinstance(ready, Decision):
                _save(context, ready, release)
                return None, False
            release = ready
        elif release.unreachable is None:
            release = replace(release, queued_behind="")
    decision = decide(release, seen, context.store.now())
    if cluster is not None:
        decision = _with_logs(cluster, decision, release)
    _remember(context, decision.release, seen)
    if cluster is not None:
        decision = replace(decision, events=(*decision.events, *_intended(context, decision)))
    saved = _save(context, decision, release)
    if saved.phase.is_final:
        return None, False
    if not decision.actions or cluster is None:
        due = decision.wake_at is not None and decision.wake_at <= context.store.now()
        return decision.wake_at, due
    return _apply(context, cluster, saved, decision, ends)


def _look(context: Context, release: Release) -> tuple[Cluster | None, Seen]:
    try:
        cluster = context.clusters[release.target.cluster]
    except KeyError:
        return None, Unreachable(
            context.store.now(), f"the catalog has no cluster {release.target.cluster}"
        )
    extra = (release.plan.preview,) if release.plan and release.plan.preview else ()
    try:
        seen = cluster.observe(
            release.target,
            candidate=release.candidate_name or _candidate_name(release),
            extra_services=extra,
            survey=release.plan is None,
            events=_may_be_late(context, release),
        )
        asked = pods_to_probe(release, seen)
        if asked and release.plan and release.plan.probe:
            seen = replace(seen, probe=cluster.ask_pods(release.target, asked, release.plan.probe))
    except ClusterUnreachable as away:
        return cluster, Unreachable(context.store.now(), away.why)
    return cluster, seen


def _may_be_late(context: Context, release: Release) -> bool:
    """The cluster's events are evidence for a deadline alone, so they are not read before one is
    near."""
    ends = step_ends_at(release)
    return ends is not None and context.store.now() >= ends - round(TICK_BUDGET_S * 1000)


def _candidate_name(release: Release) -> str:
    """Before the plan is made: where the strategy's candidate would be, so that a leftover or an
    adopted one is seen."""
    return default_candidate_name(release.target, release.strategy)


def lock_keys(release: Release, cluster_uid: str) -> tuple[str, ...]:
    where = f"{cluster_uid}/{release.target.namespace}"
    services = tuple(f"{where}/Service/{name}" for name in release.target.services)
    deployments = tuple(
        f"{where}/Deployment/{name}"
        for name in (release.target.deployment, release.target.idle)
        if name
    )
    return (*deployments, *services)


def _cluster_uid(context: Context, release: Release) -> str:
    """ "" where it cannot be read: the look that follows says why."""
    try:
        return context.clusters[release.target.cluster].uid()
    except (KeyError, ClusterUnreachable):
        return ""


def _stand_in_line(context: Context, release: Release, cluster_uid: str) -> int | None:
    """None when the locks are held; else when to look again (the one in front wakes it sooner)."""
    locked = context.store.acquire(release, lock_keys(release, cluster_uid))
    now = context.store.now()
    if not locked.behind:
        return None
    if release.queued_behind != locked.behind:
        text = f"waits for {locked.behind}, position {locked.position}"
        event = Event(now, EventKind.QUEUED, text)
        waiting = replace(release, queued_behind=locked.behind)
        context.store.save(waiting, (event,), operation=uuid.uuid4().hex)
    return now + QUEUE_LOOK_MS


def _with_logs(cluster: Cluster, decision: Decision, before: Release) -> Decision:
    """Evidence is saved in the same write as the failure, before anything is taken back."""
    cause = decision.release.cause
    if (
        cause is None
        or cause == before.cause
        or not cause.pods
        or decision.release.rules.evidence_logs == "off"
    ):
        return decision
    if cause.failure is not FailureClass.PERSISTENT:
        return decision  # what never started has no log
    container = decision.release.target.container
    try:
        lines = cluster.logs(
            decision.release.target, cause.pods[0], container=container, lines=10, previous=True
        )
    except (ClusterUnreachable, Refused):
        return decision
    return decision.changed(
        replace(decision.release, cause=replace(cause, logs=redact_lines(lines)))
    )


def _remember(context: Context, release: Release, seen: Seen) -> None:
    """What was seen healthy or bad, kept for undo. Written before the save it belongs to: twice is
    once."""
    if not isinstance(seen, Observation) or release.as_found is None or release.plan is None:
        return
    key = app_key(release, release.as_found.cluster_uid)
    if (
        release.progress.at_step <= 0
        and release.phase is not Phase.SUCCEEDED
        and not any(i.written for i in release.intents)
    ):
        stable = seen.stable
        if stable is not None and stable.replicas and stable.available >= stable.replicas:
            template = release.as_found.stable.template
            verdict, seen_by, _ = context.store.verdict_on(
                key, template
            )  # the history goes on to name the release that saw it first
            version = release.plan.from_version
            context.store.remember_healthy(
                key, template, version=version, release_id=seen_by if verdict == "healthy" else ""
            )
    serves = seen.candidate if release.plan.keeps_both else seen.stable
    if release.phase is Phase.SUCCEEDED and serves is not None:
        served = app_key(release, release.as_found.cluster_uid, serves.name)
        context.store.remember_healthy(
            served, serves.template, version=release.plan.version, release_id=release.id
        )
        if isinstance(release.change, Deploy) and release.finished_at > release.started_at:
            took = release.finished_at - release.started_at
            if release.strategy is Strategy.ROLLING:
                context.store.remember_duration(key, took, operation=f"{release.id}:duration")
    failed = release.cause is not None and release.cause.failure in (
        FailureClass.PERMANENT,
        FailureClass.PERSISTENT,
    )
    if failed and release.rollback and release.phase.is_final and release.cause is not None:
        goals = [
            goal
            for step in release.plan.steps
            for goal in step.goals
            if isinstance(goal, DeploymentGoal)
        ]
        bad = next(
            (
                goal.template
                for goal in goals
                if goal.side is Side.STABLE and goal.template is not None
            ),
            None,
        )
        if bad is not None:
            why = release.cause.summary
            context.store.remember_bad(
                key, bad, version=release.plan.version, why=why, release_id=release.id
            )


def _save(context: Context, decision: Decision, before: Release) -> Release:
    if decision.release == before and not decision.events:
        return before
    return context.store.save(decision.release, decision.events, operation=uuid.uuid4().hex)


def _apply(
    context: Context, cluster: Cluster, release: Release, decision: Decision, ends: float
) -> tuple[int | None, bool]:
    for action in decision.actions:
        if time.monotonic() > ends:
            return context.store.now(), False
        if not context.store.is_current(
            release
        ):  # a person, or another worker, was faster: decide anew
            return context.store.now(), True
        try:
            cluster.apply(release.target, action)
        except PreconditionFailed:
            return context.store.now(), True
        except Refused as refused:
            now = context.store.now()
            answer = respond(release, Refuse(str(refused)), now)
            _save(context, answer, release)
            return answer.wake_at, False
        except ClusterUnreachable as away:
            return context.store.now() + (away.retry_after_ms or 1_000), False
    now = context.store.now()
    step = release.current_step
    if step is not None and not step.until:
        return now, True  # nothing in the cluster has to follow this write: look at once
    soon = now + AFTER_WRITE_MS
    return min(soon, decision.wake_at) if decision.wake_at else soon, False


def _intended(context: Context, decision: Decision) -> tuple[Event, ...]:
    """For the audit stream, saved before the first of them is sent: whatever dies then, no write at
    the cluster is without its line."""
    if not decision.actions:
        return ()
    now, by = context.store.now(), decision.release.requested_by
    return tuple(Event(now, EventKind.WROTE, _in_words(action), by) for action in decision.actions)


def _in_words(action: Action) -> str:
    words = f"{action.kind.replace('_', ' ')} {action.name}"
    if isinstance(action, PatchDeployment | PatchService):
        return f"{words}: {', '.join(change.field.value for change in action.changes)}"
    return words
