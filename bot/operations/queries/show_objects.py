"""`/get`: kubectl's tables of one app or of the channel's apps; an unreachable cluster does not
hide the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.operations.context import App, Context
from bot.operations.queries.side_by_side import by_cluster, tables_of_each
from bot.ports import Table


def show_objects(
    context: Context, apps: Sequence[App], kind: str, *, wide: bool
) -> tuple[Table, ...]:
    """One table a cluster. Raises ClusterUnreachable, Refused where no cluster has a table to
    show."""

    are_several = len(by_cluster(apps)) > 1

    def read(here: tuple[App, ...]) -> tuple[Table, ...]:
        name = here[0].target.cluster
        found = context.cluster(name).table([app.target for app in here], kind, wide=wide)
        if are_several and found.rows:
            found = replace(found, title=f"{found.title} on {name}")
        return (found,)

    return tables_of_each(context.runtime, apps, kind, read)
