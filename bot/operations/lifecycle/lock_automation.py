"""A release that rolls back by itself locks its app for machines, until a person clears it: a
pipeline does not know why it failed, and would bring the same again."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.policy.automation import AutomationLock, with_lock
from bot.releases.engine.decision import Decision
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase, Release

ATTEMPTS = 4


def lock_automation(context: Context, before: Release, decision: Decision) -> Decision:
    """Written before the save that it belongs to: twice is once. The thread says what lifts it."""
    release, cause = decision.release, decision.release.cause
    if cause is None or not _begins_to_roll_back(before, release):
        return decision
    if not context.catalog.has_machine(release.target):
        return decision
    lock = AutomationLock(release.to_version, release.id, cause.summary, context.store.now())
    keep_from_machines(context, release, lock)
    clear = f'{context.names.typed("clear")} {release.target.typed} reason="…"'
    told = f"Machines may not release {release.target.label} until a person clears it: {clear}"
    events = tuple(
        (
            replace(event, text=f"{event.text.removesuffix('.')}. {told}")
            if event.kind is EventKind.ROLLING_BACK
            else event
        )
        for event in decision.events
    )
    return replace(decision, events=events)


def keep_from_machines(context: Context, release: Release, lock: AutomationLock) -> None:
    target = release.target
    for _ in range(ATTEMPTS):
        locks = context.store.automation_locks(target.app, target.cluster)
        if any(one.release_id == lock.release_id for one in locks):
            return
        if context.store.change_automation_locks(
            target.app, target.cluster, locks, with_lock(locks, lock)
        ):
            return


def _begins_to_roll_back(before: Release, after: Release) -> bool:
    """By itself, and with something to restore."""
    rollback, cause = after.rollback, after.cause
    return (
        rollback is not None
        and bool(rollback.steps)
        and rollback.ends_as is Phase.ROLLED_BACK
        and (before.rollback is None or not before.rollback.steps)
        and cause is not None
        and cause.failure is not FailureClass.REQUEST
    )
