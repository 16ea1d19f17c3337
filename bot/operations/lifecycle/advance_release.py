"""One tick: load, observe, decide, save what is intended, apply, return when to observe again. The
next tick repairs a crash anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from bot.operations.context import Context, left_to_newer
from bot.operations.lifecycle.advance_fleet import advance_fleet
from bot.operations.lifecycle.announce_writes import (
    announce_writes,
    record_failure,
    record_success,
    record_written,
)
from bot.operations.lifecycle.answer_requests import answer_requests
from bot.operations.lifecycle.apply_objects import apply_objects
from bot.operations.lifecycle.begin_watch import begin_watch
from bot.operations.lifecycle.check_people import SLACK_AWAY_MS, check_people
from bot.operations.lifecycle.draft_release import Draft
from bot.operations.lifecycle.gather_logs import LogReading, gather_logs
from bot.operations.lifecycle.hold_in_queue import hold_in_queue
from bot.operations.lifecycle.lock_automation import lock_automation
from bot.operations.lifecycle.meet_error import forget_errors, meet_error
from bot.operations.lifecycle.meet_freeze import freeze_changes_at, meet_freeze
from bot.operations.lifecycle.observe_end import Waits, end_under_locks, observe_end
from bot.operations.lifecycle.observe_release import (
    TICK_BUDGET_S,
    observe_release,
    observe_serving,
    with_clock,
)
from bot.operations.lifecycle.prepare_release import prepare_release
from bot.operations.lifecycle.remember_templates import remember_templates
from bot.operations.lifecycle.stand_in_line import cluster_uid, stand_in_line
from bot.operations.lifecycle.withhold_write import withhold_write
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
from bot.releases.assess.lost_writes import before_own_writes
from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.manifests import writes_objects_now
from bot.releases.engine.minimum import leave_minimum
from bot.releases.engine.promises import broken_promise
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import PatchAutoscaler
from bot.releases.facts.changes import Reapply
from bot.releases.facts.observation import Observation, Seen, Unreachable
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Refuse
from bot.request_id import working_for
from bot.tracing import span

ATTEMPTS = 4
WHICH_CLUSTER_MS = 1_000
AFTER_WRITE_MS = 1_000  # the watcher usually comes first; this is for when it is away


def advance_release(context: Context, release_id: str, draft: Draft | None = None) -> int | None:
    """Returns when to observe again (milliseconds of Redis TIME), None when the release is over or
    unknown. ``draft``: for the first tick, what was checked a moment ago."""
    ends = context.runtime.monotonic() + TICK_BUDGET_S
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
            with (
                working_for(release.works_for, release.id, is_way_back=release.is_way_back),
                span(f"tick {release.id}", _about(release), of=release.begun_by),
            ):
                if release.fleet is not None:
                    following = _Next(advance_fleet(context, release))
                else:
                    following = _tick(context, release, ends, logs, following.seen or draft)
            draft = None
            forget_errors(context, release)
            _tell_fleet(context, release)
        except VersionConflict:
            following = _Next(context.store.now(), at_once=True)
        except Exception as error:  # reported
            if not meet_error(context, release_id, error):
                raise
            following = _Next(context.store.now())
        if not following.at_once or context.runtime.monotonic() > ends:
            break
    gather_logs(logs, release_id)
    return following.wake_at


def _stand(release: Release) -> tuple[object, ...]:
    """What the fleet decides on, of a part."""
    gate = release.progress.gate
    is_away = release.unreachable is not None
    at = gate.gate if gate is not None else -1
    return release.phase, is_away, release.progress.at_step, at, release.queued_behind


def _tell_fleet(context: Context, before: Release) -> None:
    """The fleet also looks by itself, every half minute."""
    if before.part_of and _stand(context.store.load(before.id)) != _stand(before):
        context.queue.wake(f"release:{before.part_of}", context.store.now())


def _about(release: Release) -> dict[str, str]:
    """For a trace, which belongs to the starter's request also while another is carried out."""
    return {
        "pilothouse.release": release.id,
        "pilothouse.cluster": release.target.cluster,
        "pilothouse.phase": release.phase.value,
        "pilothouse.request": release.works_for,
    }


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
    already_seen: Observation | Draft | None,
) -> _Next:
    if not release.asked:
        return _observed_tick(context, release, ends, logs, already_seen)
    timed = with_clock(context, release)
    answered = observe_end(context, timed, answer_requests(context, timed))
    if isinstance(answered, Waits):
        return _Next(answered.wake_at)
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
    already_seen: Observation | Draft | None,
) -> _Next:
    if release.phase is Phase.QUEUED and (held := hold_in_queue(context, release)) is not None:
        return _Next(held.wake_at)
    if release.phase is Phase.QUEUED:
        draft = already_seen if isinstance(already_seen, Draft) else None
        ready = _begin_by_draft(context, release, draft) or _begin(context, release)
    else:
        seen = already_seen if isinstance(already_seen, Observation) else None
        ready = _Ready(release, *observe_release(context, release, seen))
    if isinstance(ready, _Next):
        return ready
    before, cluster = ready.release, ready.cluster
    ready = ready._replace(release=with_clock(context, before))
    if cluster is not None and _creates_app(ready):
        return _Next(apply_objects(context, cluster, ready.release, ends))
    decision = _decide(context, ready)
    remember_templates(context, decision.release, ready.seen)
    decision = lock_automation(context, before, decision)
    begin_watch(context, before, decision.release)
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
    release = meet_freeze(context, ready.release)
    checked = check_people(context, release)
    if isinstance(checked, Decision):
        return end_under_locks(context, ready.release, ready.seen, checked)
    decided = checked.finish(decide(checked.release, ready.seen, context.store.now()))
    return decided.wake(freeze_changes_at(context, decided.release))


def _begin_by_draft(
    context: Context, release: Release, draft: Draft | None
) -> _Next | _Ready | None:
    """As ``_begin``, by what was observed for the check: under the locks it is only asked whether
    that is still so. None: begin without it."""
    if draft is None or not draft.fits(release, context.runtime.monotonic()):
        return None
    waiting = stand_in_line(context, release, draft.seen.cluster_uid)
    if waiting is not None:
        return _Next(waiting)
    target, seen = draft.release.target, draft.seen
    try:
        cluster = context.cluster(target.cluster)
        if not cluster.is_unchanged(target, seen, candidate=draft.candidate):
            return None
    except ClusterUnreachable:
        return None
    return _prepared(context, replace(release, target=target), cluster, seen)


def _begin(context: Context, release: Release) -> _Next | _Ready:
    """A queued release takes its locks, then observes: earlier it could observe the unfinished
    writes of another release."""
    locked_at = cluster_uid(context, release)
    if locked_at:
        waiting = stand_in_line(context, release, locked_at)
        if waiting is not None:
            return _Next(waiting)
    release, cluster, seen = observe_serving(context, release)
    if isinstance(seen, Observation) and seen.cluster_uid != locked_at:
        # Its uid could not be read, or the name means another cluster by now.
        return _Next(context.store.now() + WHICH_CLUSTER_MS)
    if not isinstance(seen, Observation):
        if release.unreachable is None:
            release = replace(release, queued_behind="")
        return _Ready(release, cluster, seen)
    return _prepared(context, release, cluster, seen)


def _prepared(
    context: Context, release: Release, cluster: Cluster | None, seen: Observation
) -> _Next | _Ready:
    try:
        prepared = prepare_release(context, release, before_own_writes(release, seen))
    except SlackUnavailable as away:  # the roles of its starter are unknown
        return _Next(context.store.now() + (away.retry_after_ms or SLACK_AWAY_MS))
    except ClusterUnreachable as away:
        return _Ready(release, cluster, Unreachable(context.store.now(), away.why))
    except Refused as refused:
        prepared = respond(release, Refuse(f"not started: {refused}"), context.store.now())
    if isinstance(prepared, Decision):
        ended = end_under_locks(context, release, seen, prepared)
        is_over = _save(context, ended, release).phase.is_final
        return _Next(None if is_over else context.store.now(), at_once=not is_over)
    return _Ready(prepared, cluster, seen)


def _save(context: Context, decision: Decision, before: Release) -> Release:
    if decision.release == before and not decision.events:
        return before
    return context.store.save(decision.release, decision.events, operation=context.runtime.new_id())


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
        if context.runtime.monotonic() > ends:
            return _Next(context.store.now())
        if not context.store.is_current(release):
            # A person, or another worker, was faster: decide again.
            return _Next(context.store.now(), at_once=True)
        broken = broken_promise(release, after, action) if after is not None else None
        if broken is not None:
            return _Next(withhold_write(context, release, broken))
        try:
            written = cluster.apply(release.target, action)
            record_written(context, release, action, seen, written)
            after = after_write(after, action, written)
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
