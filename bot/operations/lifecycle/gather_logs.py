"""The last log lines of what failed, read once its failure is saved and what follows from it is
under way.

They are evidence and no more: what a container printed, however much and whatever it is, delays no
announcement and no rollback. A reader that dies with it is not repeated.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from bot.operations.context import Context
from bot.policy.evidence import redact_lines
from bot.ports import ClusterUnreachable, Refused, UnknownSchema, VersionConflict
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Release
from bot.releases.planning.draft import app_container

ATTEMPTS = 3
ASKED_FOR_MS = 30 * 86_400_000
LINES = 10


def gather_logs(context: Context, release_id: str) -> None:
    """Saves them with the release, and an event that has them delivered."""
    try:
        release = context.store.load(release_id)
    except (KeyError, UnknownSchema):
        return
    cause = release.cause
    if cause is None or not _wanted(release, cause):
        return
    key = f"logs-asked:{release.id}:{cause.pods[0]}"
    if not context.store.put_new(key, uuid.uuid4().hex, ttl_ms=ASKED_FOR_MS):
        return
    try:
        lines = _last_lines(context, release, cause.pods[0])
    except (KeyError, ClusterUnreachable, Refused):
        return
    if lines:
        _save(context, release, cause, redact_lines(lines))


def _last_lines(context: Context, release: Release, pod: str) -> tuple[str, ...]:
    """Of the container that ended last. Once it is started again that is the previous one; until
    then it is the current one, and a kubelet has removed the log of the one before."""
    found = release.as_found
    container = app_container(release, found.stable.template) if found else None
    cluster = context.clusters[release.target.cluster]
    for previous in (True, False):
        lines = cluster.logs(
            release.target, pod, container=container, lines=LINES, previous=previous
        )
        if lines:
            return lines
    return ()


def _wanted(release: Release, cause: Cause) -> bool:
    """What never started has no log."""
    return (
        cause.failure is FailureClass.PERSISTENT
        and bool(cause.pods)
        and not cause.logs
        and release.rules.evidence_logs != "off"
    )


def _save(context: Context, release: Release, cause: Cause, lines: tuple[str, ...]) -> None:
    """A person or another tick may have saved the release meanwhile; the lines belong to the
    cause as long as it is the same."""
    text = f"read the last log lines of {cause.pods[0]}"
    for _ in range(ATTEMPTS):
        if release.cause != cause:
            return
        event = Event(context.store.now(), EventKind.EVIDENCE, text)
        with_logs = replace(release, cause=replace(cause, logs=lines))
        try:
            context.store.save(with_logs, (event,), operation=uuid.uuid4().hex, card=False)
            return
        except VersionConflict:
            release = context.store.load(release.id)
