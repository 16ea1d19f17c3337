"""`/get`: kubectl's tables of one app or of the channel's apps; an unreachable cluster does not
hide the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.operations.context import App, Context
from bot.ports import ClusterUnreachable, Refused, Table
from bot.releases.facts.target import Target


def show_objects(
    context: Context, apps: Sequence[App], kind: str, *, wide: bool
) -> tuple[Table, ...]:
    """One table a cluster. Raises ClusterUnreachable, Refused where no cluster has a table to
    show."""
    by_cluster: dict[str, list[Target]] = {}
    for app in apps:
        by_cluster.setdefault(app.target.cluster, []).append(app.target)
    tables, failures = [], []
    for cluster, targets in by_cluster.items():
        try:
            table = context.cluster(cluster).table(targets, kind, wide=wide)
        except (ClusterUnreachable, Refused) as failure:
            failures.append(failure)
            table = Table(f"{kind} on {cluster}", (), (), str(failure))
        tables.append(
            replace(table, title=f"{table.title} on {cluster}")
            if len(by_cluster) > 1 and table.rows
            else table
        )
    if len(failures) == len(by_cluster):
        raise failures[0]
    return tuple(tables)
