"""Which freezes are in force now? Those that people set, and the windows of the catalog."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.policy.freezes import Freeze


def freezes_in_force(context: Context) -> tuple[Freeze, ...]:
    """Raises StoreUnavailable."""
    now = context.store.now()
    open_now = (window.at(now) for window in context.catalog.windows)
    found = (*context.store.freezes(), *(one for one in open_now if one is not None))
    return tuple(in_clusters(context, one) for one in found)


def in_clusters(context: Context, freeze: Freeze) -> Freeze:
    """With the clusters that have its label. One that lost it since stays frozen."""
    meant = context.catalog.clusters_with(freeze.scope)
    return replace(freeze, clusters=tuple(dict.fromkeys((*freeze.clusters, *meant))))
