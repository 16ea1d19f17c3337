"""What is kept of each write: its audit line before it is sent, and why the API server does not
take it."""

from __future__ import annotations

import hashlib
import hmac
import logging
from dataclasses import replace

from bot.operations.context import Context
from bot.ports import AuditLine, ClusterUnreachable, StoreUnavailable
from bot.releases.engine.decision import Decision
from bot.releases.facts.actions import (
    Action,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.observation import DeploymentSeen, Observation, Seen, Written
from bot.releases.facts.release import FailedWrite, Release
from bot.request_id import current_work

log = logging.getLogger(__name__)

_PATCHES = (PatchDeployment, PatchService, PatchAutoscaler)
SOONEST_AGAIN_MS = 1_000
HASH_LENGTH = 16
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


def record_written(
    context: Context, release: Release, action: Action, seen: Seen, written: Written | None
) -> None:
    """After the write, with keyed hashes of the object before and after. It is done, whether or not
    this can be written."""
    before = seen if isinstance(seen, Observation) else None
    line = AuditLine(
        context.store.now(),
        release.id,
        release.target.app,
        "written",
        _in_words(action),
        release.requested_by.user,
        current_work().request or release.works_for,
        team=release.requested_by.team,
        plan=release.plan.hash if release.plan else "",
        before=_hash_of(context, _found(before, action)),
        after=_hash_of(context, written.deployment if written else None),
        result="done",
    )
    operation = f"{release.id}:{release.version}:written:{_fingerprint(action)}"
    try:
        context.store.write_audit(line, operation=operation)
    except StoreUnavailable as away:
        log.warning("the end of a write is not in the audit: %s", away)


def _found(seen: Observation | None, action: Action) -> object:
    if seen is None:
        return None
    if isinstance(action, PatchService):
        return next((one for one in seen.services if one.name == action.name), None)
    deployments = (one for one in (seen.stable, seen.candidate) if one is not None)
    return next((one for one in deployments if one.name == action.name), None)


def _hash_of(context: Context, item: object) -> str:
    """ "" of what is not there, or was not read. Keyed: nobody finds out by trying what it held."""
    if item is None:
        return ""
    if isinstance(item, DeploymentSeen):
        item = (item.uid, item.template, item.replicas, item.paused)
    return hmac.digest(context.digest_key, repr(item).encode(), "sha256").hex()[:HASH_LENGTH]


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
    context.store.save(release, events, operation=context.runtime.new_id())


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
