"""Which failed versions keep a machine from releasing an app? None keep a person."""

from __future__ import annotations

from bot.operations.context import Context
from bot.policy.automation import AutomationLock
from bot.releases.facts.people import Person
from bot.releases.facts.target import Target


def locks_for(context: Context, by: Person, target: Target) -> tuple[AutomationLock, ...]:
    """Raises StoreUnavailable."""
    return context.store.automation_locks(target.app, target.cluster) if by.caller else ()
