"""Which freezes are in force now? Those that people set, and the windows of the catalog."""

from __future__ import annotations

from bot.operations.context import Context
from bot.policy.freezes import Freeze


def freezes_in_force(context: Context) -> tuple[Freeze, ...]:
    """Raises StoreUnavailable."""
    now = context.store.now()
    open_now = (window.at(now) for window in context.catalog.windows)
    return (*context.store.freezes(), *(one for one in open_now if one is not None))
