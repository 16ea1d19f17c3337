"""The last log lines of what crashed, read beside a tick's own work and kept until its failure is
saved.

They are evidence and no more: what a container printed, however much and whatever it is, delays no
announcement and no rollback. They are read when a crash is first observed, since a kubelet removes
the log together with the pod. A reader that dies of them is not repeated.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import orjson

from bot.operations.context import Context
from bot.policy.evidence import redact_lines
from bot.ports import ClusterUnreachable, Refused, UnknownSchema, VersionConflict
from bot.releases.engine.failures import Crash, crashes
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Release
from bot.releases.planning.draft import app_container

ATTEMPTS = 3
KEPT_FOR_MS = 86_400_000
ASKED_FOR_MS = 30 * KEPT_FOR_MS
LINES = 10
MAX_PODS = 3
EARLY_WITHIN_S = 1.0
"""How long a tick that has done its work waits for the lines of a crash that does not count yet."""
WITHIN_S = 3.0
"""The same once it counts: nothing else will read them again."""


class LogReading:
    """The reads of one tick, begun once its decision is saved."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.reads: list[Future[None]] = []

    def begin(self, before: Release, after: Release, seen: Observation) -> None:
        """``before`` and ``after`` a decision on ``seen``. Returns at once."""
        if before.rules.evidence_logs == "off" or self.reads:
            return
        crashed = crashes(before, seen)[:MAX_PODS] or _crash_of_cause(after)
        if not crashed:
            return
        start = self.context.runtime.start
        self.reads = [start(partial(_keep_lines, self.context, after, one)) for one in crashed]


def gather_logs(reading: LogReading, release_id: str) -> None:
    """At the end of the tick: saves the lines of a failure with the release, and an event that has
    them delivered."""
    store = reading.context.store
    try:
        release = store.load(release_id)
    except (KeyError, UnknownSchema):
        return
    counts = _wanted(release)
    within_s = WITHIN_S if counts else EARLY_WITHIN_S
    for read in reading.context.runtime.wait(reading.reads, within_s):
        read.result()
    if release.cause is None or not counts:
        return
    for pod in release.cause.pods:
        kept = store.peek(_kept(release, pod))
        if kept:
            _save(reading.context, release, release.cause, pod, tuple(orjson.loads(kept)))
            return


def _keep_lines(context: Context, release: Release, crash: Crash) -> None:
    """Once for each time the container ended. The mark of a reader that died stays."""
    store, pod = context.store, crash.pod
    asked, reading = f"logs-asked:{release.id}:{pod}:{crash.restarts}", f"logs-read:{release.id}"
    if not store.put_new(asked, context.runtime.new_id(), ttl_ms=ASKED_FOR_MS):
        return
    if not store.put_new(f"{reading}:{pod}", context.runtime.new_id(), ttl_ms=ASKED_FOR_MS):
        return
    try:
        lines = _last_lines(context, release, crash)
    except (KeyError, ClusterUnreachable, Refused):
        lines = ()
    if lines:
        shown = orjson.dumps(redact_lines(lines)).decode()
        store.put(_kept(release, pod), shown, ttl_ms=KEPT_FOR_MS)
    store.take(f"{reading}:{pod}")


def _kept(release: Release, pod: str) -> str:
    return f"logs-kept:{release.id}:{pod}"


def _last_lines(context: Context, release: Release, crash: Crash) -> tuple[str, ...]:
    """Of the container that ended last. Once it is started again that is the previous one; until
    then it is the current one, and a kubelet has removed the log of the one before."""
    cluster = context.clusters[release.target.cluster]
    for previous in (True, False):
        lines = cluster.logs(
            release.target, crash.pod, container=crash.container, lines=LINES, previous=previous
        )
        if lines:
            return lines
    return ()


def _crash_of_cause(release: Release) -> tuple[Crash, ...]:
    """Where a worker ended between the failure and its logs."""
    cause, found = release.cause, release.as_found
    if cause is None or not _wanted(release):
        return ()
    container = app_container(release, found.stable.template) if found else None
    return (Crash(cause.pods[0], container),)


def _wanted(release: Release) -> bool:
    """What never started has no log."""
    cause = release.cause
    return (
        cause is not None
        and cause.failure is FailureClass.PERSISTENT
        and bool(cause.pods)
        and not cause.logs
        and release.rules.evidence_logs != "off"
    )


def _save(
    context: Context, release: Release, cause: Cause, pod: str, lines: tuple[str, ...]
) -> None:
    """A person or another tick may have saved the release meanwhile; the lines belong to the
    cause as long as it is the same."""
    text = f"read the last log lines of {pod}"
    for _ in range(ATTEMPTS):
        if release.cause != cause:
            return
        event = Event(context.store.now(), EventKind.EVIDENCE, text)
        with_logs = replace(release, cause=replace(cause, logs=lines))
        try:
            context.store.save(with_logs, (event,), operation=context.runtime.new_id(), card=False)
            return
        except VersionConflict:
            release = context.store.load(release.id)
