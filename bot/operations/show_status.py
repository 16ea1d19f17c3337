"""`/rollout status`: kubectl's sentence, and the running release where there is one."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.invocation import Reply, Tabled
from bot.operations.list_apps import running_release
from bot.operations.look_at import look_at
from bot.ports import Table
from bot.releases.health import rollout_line

COLUMNS = ("APP", "STATUS", "READY", "UP-TO-DATE", "AVAILABLE", "PAUSED", "RELEASE")


def show_status(context: Context, apps: tuple[App, ...]) -> Reply:
    rows = []
    for app in apps:
        stable = look_at(context, app).stable
        release = running_release(context, app.target.app)
        told = f"{release.id}: {release.phase.value.replace('_', ' ')}" if release else "-"
        if stable is None:
            rows.append((app.target.app, f"there is no Deployment {app.target.deployment}", "-", "-", "-", "-", told))
            continue
        ready = f"{stable.ready}/{stable.replicas}"
        paused = "yes" if stable.paused else "no"
        rows.append((app.target.app, rollout_line(stable), ready, str(stable.updated), str(stable.available), paused, told))
    return Tabled((Table("Rollout status", COLUMNS, tuple(rows)),))
