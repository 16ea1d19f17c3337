"""What is kept of each write: its audit line before it is sent, and why the API server does not
take it."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace

from bot.operations.context import Context
from bot.ports import ClusterUnreachable
from bot.releases.engine.decision import Decision
from bot.releases.facts.actions import (
    Action,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import FailedWrite, Release

_PATCHES = (PatchDeployment, PatchService, PatchAutoscaler)
SOONEST_AGAIN_MS = 1_000
LATEST_AGAIN_MS = 15_000


def announce_writes(context: Context, decision: Decision) -> Decision:
    """For the audit stream, saved before the first action is sent: after any crash, every write to
    the cluster has its line. An identical write that is sent again has it already."""
    release, now = decision.release, context.store.now()
    sent = tuple(_fingerprint(action) for action in decision.actions)
    events = tuple(
        Event(now, EventKind.WROTE, _in_words(action), release.requested_by)
        for action, print_ in zip(decision.actions, sent, strict=True)
        if print_ not in release.sent
    )
    failed = release.failed_write if sent else None  # nothing is left to try
    release = replace(release, sent=sent, failed_write=failed)
    return replace(decision, release=release, events=(*decision.events, *events))


def record_failure(
    context: Context, release: Release, action: Action, away: ClusterUnreachable
) -> int:
    """Returns when to try again. Shown at once; reported with its cause when the next try fails
    too, and then once."""
    now, before = context.store.now(), release.failed_write
    what = _in_words(action)
    failed = FailedWrite(
        what,
        away.why,
        before.since if before else now,
        is_reported=before is not None,
    )
    events: tuple[Event, ...] = ()
    if before is not None and not before.is_reported:
        text = f"cannot {what}: {away.why}. Trying again"
        events = (Event(now, EventKind.ENVIRONMENT, text),)
    if failed != before:
        _save(context, replace(release, failed_write=failed), events)
    patience = min(LATEST_AGAIN_MS, max(SOONEST_AGAIN_MS, (now - failed.since) // 2))
    return now + (away.retry_after_ms or patience)


def record_success(context: Context, release: Release) -> None:
    failed = release.failed_write
    if failed is None:
        return
    text = f"the API server took it: {failed.what}"
    event = Event(context.store.now(), EventKind.REACHABLE, text)
    events = (event,) if failed.is_reported else ()
    _save(context, replace(release, failed_write=None), events)


def _save(context: Context, release: Release, events: tuple[Event, ...]) -> None:
    context.store.save(release, events, operation=uuid.uuid4().hex)


def _fingerprint(action: Action) -> str:
    """Of what it does, not of the version of the object that it was decided on."""
    if isinstance(action, _PATCHES):
        action = replace(action, resource_version="")
    return hashlib.sha256(repr(action).encode()).hexdigest()[:12]


def _in_words(action: Action) -> str:
    words = f"{action.kind.replace('_', ' ')} {action.name}"
    if isinstance(action, _PATCHES):
        return f"{words}: {', '.join(change.field.value for change in action.changes)}"
    return words
