"""The apps of the catalog and what each runs: during a release what its last observation found,
else what the cluster runs."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.ports import ClusterUnreachable, Table
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.facts.card_snapshot import versions_now
from bot.releases.facts.counts import some_of
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target

COLUMNS = ("APP", "VERSION", "CLUSTER", "NAMESPACE", "STRATEGY", "RELEASE")
MAX_NAMED = 8


def list_apps(context: Context) -> Table:
    """An unreachable cluster leaves only its own apps without a version; the note names it."""
    apps = dict(sorted(context.catalog.apps.items()))
    seen, notes = _seen(context, tuple(app.target for app in apps.values()))
    rows = []
    for name, app in apps.items():
        release = running_release(context, name)
        state = f"{release.id} {release.phase.value.replace('_', ' ')}" if release else "-"
        runs = _runs(app, seen[name]) if name in seen else ""
        version = (versions_now(release.card_snapshot) if release is not None else "") or runs
        rows.append(
            (
                name,
                version or "-",
                app.target.cluster,
                app.target.namespace,
                app.strategy.value,
                state,
            )
        )
    missing = [name for name, one in seen.items() if one.stable is None]
    notes += [f"without a Deployment: {some_of(missing, MAX_NAMED)}"] * bool(missing)
    notes += frozen_lines(context, tuple(apps.values()))
    return Table("Apps", COLUMNS, tuple(rows), "\n".join(notes))


def _seen(
    context: Context, targets: tuple[Target, ...]
) -> tuple[dict[str, Observation], list[str]]:
    by_cluster: dict[str, list[Target]] = {}
    for target in targets:
        by_cluster.setdefault(target.cluster, []).append(target)
    seen: dict[str, Observation] = {}
    notes = []
    for cluster, here in by_cluster.items():
        try:
            seen |= context.cluster(cluster).observe_apps(here)
        except ClusterUnreachable as away:
            apps = some_of([target.app for target in here], MAX_NAMED)
            notes.append(f"{apps}: the cluster {cluster} is unreachable: {away.why}")
    return seen, notes


def _runs(app: App, seen: Observation) -> str:
    """The version of the Deployment that serves; of a kept pair that may be the candidate."""
    serves = seen.candidate if retarget_to_serving(app.target, seen) != app.target else seen.stable
    containers = serves.template["spec"]["containers"] if serves is not None else ()
    ours = [one for one in containers if app.target.container in (None, one["name"])]
    return ", ".join(version_of(one.get("image", "")) for one in ours)


def frozen_lines(context: Context, apps: tuple[App, ...]) -> list[str]:
    """The freezes in force that stop one of these apps."""
    places = [(app.target.app, app.target.cluster) for app in apps]
    freezes = context.store.freezes()
    return [f"🧊 {one.line}" for one in freezes if any(one.covers(*place) for place in places)]


def running_release(context: Context, app: str) -> Release | None:
    """The release of this app that holds the lock, else the first that waits for it."""
    active = context.store.active(app)
    return next((r for r in active if not r.queued_behind), active[0] if active else None)
