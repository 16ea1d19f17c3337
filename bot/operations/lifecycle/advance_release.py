"""One tick: load, observe, decide, save what is intended, apply, return when to observe again. The
next tick repairs a crash anywhere."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import NamedTuple

from bot.operations.context import Context, left_to_newer
from bot.operations.lifecycle.announce_writes import (
    announce_writes,
    record_failure,
    record_success,
)
from bot.operations.lifecycle.answer_requests import answer_requests
from bot.operations.lifecycle.apply_objects import apply_objects
from bot.operations.lifecycle.check_people import SLACK_AWAY_MS, check_people
from bot.operations.lifecycle.gather_logs import LogReading, gather_logs
from bot.operations.lifecycle.hold_in_queue import hold_in_queue, place_in_line
from bot.operations.lifecycle.meet_error import forget_errors, meet_error
from bot.operations.lifecycle.prepare_release import prepare_release
from bot.operations.lifecycle.remember_templates import remember_templates
from bot.ports import (
    Cluster,
    ClusterUnreachable,
    PreconditionFailed,
    Refused,
    SlackUnavailable,
    UnknownSchema,
    VersionConflict,
)
from bot.releases.assess.after_write import after_write
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.engine.clock import follow_clock
from bot.releases.engine.deadlines import step_ends_at
from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.manifests import writes_objects_now
from bot.releases.engine.minimum import leave_minimum, raisable_autoscaler
from bot.releases.engine.probing import pods_to_probe
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import PatchAutoscaler
from bot.releases.facts.changes import Reapply
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.observation import Observation, Seen, Unreachable
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Refuse
from bot.releases.facts.target import Target, default_candidate_name

TICK_BUDGET_S = 6.0
ATTEMPTS = 4
QUEUE_AGAIN_MS = 30_000
WHICH_CLUSTER_MS = 1_000
AFTER_WRITE_MS = 1_000  # the watcher usually comes first; this is for when it is away


def advance_release(context: Context, release_id: str) -> int | None:
    """Returns when to observe again (milliseconds of Redis TIME), None when the release is over or
    unknown."""
    ends = time.monotonic() + TICK_BUDGET_S
    following = _Next(None)
    logs = LogReading(context)
    for _ in range(ATTEMPTS):
        try:
            release = context.store.load(release_id)
        except KeyError:
            return None
        except UnknownSchema:
            return left_to_newer(context)
        if release.phase.is_final:
            following = _Next(None)
            break
        try:
            following = _tick(context, release, ends, logs, following.seen)
            forget_errors(context, release)
        except VersionConflict:
            following = _Next(context.store.now(), at_once=True)
        except Exception as error:  # reported
            if not meet_error(context, release_id, error):
                raise
            following = _Next(context.store.now())
        if not following.at_once or time.monotonic() > ends:
            break
    gather_logs(logs, release_id)
    return following.wake_at


def with_clock(context: Context, release: Release) -> Release:
    """Before anything counts the time since something."""
    try:
        server_time = context.cluster(release.target.cluster).server_time()
    except ClusterUnreachable:
        return release
    return follow_clock(release, context.store.now(), server_time)


class _Next(NamedTuple):
    """When to observe again (milliseconds of Redis TIME), or ``at_once`` in this tick. ``seen``:
    what the next decision may use, since nothing but our own record or claim changed."""

    wake_at: int | None
    at_once: bool = False
    seen: Observation | None = None


class _Ready(NamedTuple):
    release: Release
    cluster: Cluster | None
    seen: Seen


def _tick(
    context: Context,
    release: Release,
    ends: float,
    logs: LogReading,
    already_seen: Observation | None,
) -> _Next:
    if not release.asked:
        return _observed_tick(context, release, ends, logs, already_seen)
    answered = answer_requests(context, with_clock(context, release))
    if answered.release != release:
        _save(context, answered, release)
        is_over = answered.release.phase.is_final
        return _Next(None if is_over else context.store.now(), at_once=not is_over)
    # only Slack is awaited: the release continues meanwhile
    release = _save(context, answered, release)
    following = _observed_tick(context, release, ends, logs, already_seen)
    again_at = answered.wake_at
    if following.wake_at is None or again_at is None:
        return following
    return following._replace(wake_at=min(following.wake_at, again_at))


def _observed_tick(
    context: Context,
    release: Release,
    ends: float,
    logs: LogReading,
    already_seen: Observation | None,
) -> _Next:
    if release.phase is Phase.QUEUED and (held := hold_in_queue(context, release)) is not None:
        return _Next(held.wake_at)
    if release.phase is Phase.QUEUED:
        ready = _begin(context, release)
    else:
        ready = _Ready(release, *_observe(context, release, already_seen))
    if isinstance(ready, _Next):
        return ready
    before, cluster = ready.release, ready.cluster
    ready = ready._replace(release=with_clock(context, before))
    if cluster is not None and _creates_app(ready):
        return _Next(apply_objects(context, cluster, ready.release, ends))
    decision = _decide(context, ready)
    remember_templates(context, decision.release, ready.seen)
    if cluster is not None and isinstance(ready.seen, Observation):
        decision = announce_writes(context, decision)
    saved = _save(context, decision, before)
    if isinstance(ready.seen, Observation):
        logs.begin(ready.release, saved, ready.seen)  # a rollback soon removes the pods
    if saved.phase.is_final:
        return _Next(None)
    if cluster is not None and isinstance(ready.seen, Observation) and writes_objects_now(saved):
        wake = apply_objects(context, cluster, saved, ends)
        return _Next(wake, wake is not None and wake <= context.store.now())
    if not decision.actions or cluster is None:
        due = decision.wake_at is not None and decision.wake_at <= context.store.now()
        return _Next(decision.wake_at, due, _unless_unreachable(ready.seen))
    return _apply(context, cluster, saved, decision, ready.seen, ends)


def _unless_unreachable(seen: Seen) -> Observation | None:
    return seen if isinstance(seen, Observation) else None


def _creates_app(ready: _Ready) -> bool:
    """Manifests of an app whose Deployment does not exist: no plan could be made for it."""
    release, seen = ready.release, ready.seen
    return (
        isinstance(release.change, Reapply)
        and bool(release.change.objects)
        and release.plan is None
        and isinstance(seen, Observation)
        and seen.stable is None
    )


def _decide(context: Context, ready: _Ready) -> Decision:
    checked = check_people(context, ready.release)
    if isinstance(checked, Decision):
        return checked
    return checked.finish(decide(checked.release, ready.seen, context.store.now()))


def _begin(context: Context, release: Release) -> _Next | _Ready:
    """A queued release takes its locks, then observes: earlier it could observe the unfinished
    writes of another release."""
    locked_at = _cluster_uid(context, release)
    if locked_at:
        waiting = _stand_in_line(context, release, locked_at)
        if waiting is not None:
            return _Next(waiting)
    cluster, seen = _observe(context, release)
    if isinstance(seen, Observation) and seen.cluster_uid != locked_at:
        # Its uid could not be read, or the name means another cluster by now.
        return _Next(context.store.now() + WHICH_CLUSTER_MS)
    serving = _serving_target(release, seen)
    if serving != release.target:
        release = replace(release, target=serving)
        cluster, seen = _observe(context, release)
    if not isinstance(seen, Observation):
        if release.unreachable is None:
            release = replace(release, queued_behind="")
        return _Ready(release, cluster, seen)
    return _prepared(context, release, cluster, seen)


def _prepared(
    context: Context, release: Release, cluster: Cluster | None, seen: Observation
) -> _Next | _Ready:
    try:
        prepared = prepare_release(context, release, seen)
    except SlackUnavailable as away:  # the roles of its starter are unknown
        return _Next(context.store.now() + (away.retry_after_ms or SLACK_AWAY_MS))
    except ClusterUnreachable as away:
        return _Ready(release, cluster, Unreachable(context.store.now(), away.why))
    except Refused as refused:
        prepared = respond(release, Refuse(f"not started: {refused}"), context.store.now())
    if isinstance(prepared, Decision):
        _save(context, prepared, release)
        return _Next(None)
    return _Ready(prepared, cluster, seen)


def _serving_target(release: Release, seen: Seen) -> Target:
    """Where traffic reaches the other Deployment of a pair, the change is meant for that one."""
    if not isinstance(seen, Observation) or release.plan is not None:
        return release.target
    if isinstance(release.change, Reapply):
        return release.target
    return retarget_to_serving(release.target, seen)


def _observe(
    context: Context, release: Release, already_seen: Observation | None = None
) -> tuple[Cluster | None, Seen]:
    try:
        cluster = context.cluster(release.target.cluster)
    except ClusterUnreachable as gone:
        return None, Unreachable(context.store.now(), gone.why)
    extra = (release.plan.preview,) if release.plan and release.plan.preview else ()
    try:
        seen = already_seen or cluster.observe(
            release.target,
            candidate=release.candidate_name or _candidate_name(release),
            extra_services=extra,
            autoscaler=raisable_autoscaler(release),
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
    adopted one is observed."""
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
    """ "" where it cannot be read: the observation that follows says why."""
    try:
        return context.cluster(release.target.cluster).uid()
    except ClusterUnreachable:
        return ""


def _stand_in_line(context: Context, release: Release, cluster_uid: str) -> int | None:
    """None when the locks are held; else when to try again (a freed lock wakes it sooner)."""
    locked = context.store.acquire(release, lock_keys(release, cluster_uid))
    now = context.store.now()
    if not locked.behind:
        return None
    place = place_in_line(context, locked)
    if release.queued_behind != locked.behind:
        text = f"waits for {locked.behind}, position {locked.position}"
        event = Event(now, EventKind.QUEUED, text)
        waiting = replace(release, queued_behind=locked.behind, in_line=place)
        context.store.save(waiting, (event,), operation=uuid.uuid4().hex)
    elif release.in_line != place:
        waiting = replace(release, in_line=place)
        context.store.save(waiting, (), operation=uuid.uuid4().hex)
    return now + QUEUE_AGAIN_MS


def _save(context: Context, decision: Decision, before: Release) -> Release:
    if decision.release == before and not decision.events:
        return before
    return context.store.save(decision.release, decision.events, operation=uuid.uuid4().hex)


def _apply(
    context: Context,
    cluster: Cluster,
    release: Release,
    decision: Decision,
    seen: Seen,
    ends: float,
) -> _Next:
    after = _unless_unreachable(seen)
    for action in decision.actions:
        if time.monotonic() > ends:
            return _Next(context.store.now())
        if not context.store.is_current(release):
            # A person, or another worker, was faster: decide again.
            return _Next(context.store.now(), at_once=True)
        try:
            after = after_write(after, action, cluster.apply(release.target, action))
        except PreconditionFailed:
            return _Next(context.store.now(), at_once=True)
        except Refused as refused:
            now = context.store.now()
            answer = (
                leave_minimum(release, str(refused), now)
                if isinstance(action, PatchAutoscaler)
                else respond(release, Refuse(str(refused)), now)
            )
            _save(context, answer, release)
            return _Next(answer.wake_at)
        except ClusterUnreachable as away:
            return _Next(record_failure(context, release, action, away))
    record_success(context, release)
    now = context.store.now()
    if after is not None:
        return _Next(now, at_once=True, seen=after)
    step = release.current_step
    if step is not None and not step.until:
        return _Next(now, at_once=True)  # nothing in the cluster has to follow this write
    soon = now + AFTER_WRITE_MS
    return _Next(min(soon, decision.wake_at) if decision.wake_at else soon)
