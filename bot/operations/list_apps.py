"""The apps of the catalog and what each runs, as the record knows it."""

from __future__ import annotations

from bot.operations.context import Context
from bot.ports import Table
from bot.releases.model import Release


def list_apps(context: Context) -> Table:
    rows = []
    for name, app in sorted(context.catalog.apps.items()):
        release = running_release(context, name)
        last = next(iter(context.store.recent(name, limit=1)), None)
        runs = release.from_version if release else (last.to_version if last and last.phase.value == "succeeded" else "")
        state = f"{release.id} {release.phase.value.replace('_', ' ')}" if release else ""
        rows.append((name, runs or "-", app.target.cluster, app.target.namespace, app.strategy.value, state or "-"))
    return Table("Apps", ("APP", "VERSION", "CLUSTER", "NAMESPACE", "STRATEGY", "RELEASE"), tuple(rows))


def running_release(context: Context, app: str) -> Release | None:
    """The release of this app that holds the lock, else the first that waits for it."""
    active = context.store.active(app)
    return next((r for r in active if not r.queued_behind), active[0] if active else None)
