"""The apps of the catalog and what each runs: during a release what its last observation found,
else what the cluster runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bot.operations.access.freezes_in_force import freezes_in_force
from bot.operations.context import App, Context
from bot.operations.queries.side_by_side import by_cluster, side_by_side
from bot.ports import ClusterUnreachable, Refused, Table
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.facts.card_snapshot import versions_now
from bot.releases.facts.counts import some_of
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target
from bot.releases.fleet.state import stand_words

COLUMNS = ("APP", "VERSION", "CLUSTER", "NAMESPACE", "STRATEGY", "RELEASE")
MAX_NAMED = 8


def list_apps(context: Context, cluster: str | None = None) -> Table:
    """An unreachable cluster leaves only its own apps without a version; the note names it."""
    apps = {
        name: app
        for name, app in sorted(context.catalog.apps.items())
        if cluster in (None, app.target.cluster)
    }
    seen, notes = _seen(context, tuple(apps.values()))
    rows = []
    for name, app in apps.items():
        release = running_release(context, app.target)
        state = f"{release.id}: {release.phase.words}" if release else "-"
        runs = _runs(app, seen[name]) if name in seen else ""
        version = (versions_now(release.card_snapshot) if release is not None else "") or runs
        rows.append(
            (
                app.target.app,
                version or "-",
                app.target.cluster,
                app.target.namespace,
                app.strategy.value,
                state,
            )
        )
    missing = [name for name, one in seen.items() if one.stable is None]
    notes += [f"without a Deployment: {some_of(missing, MAX_NAMED)}"] * bool(missing)
    notes += _differing(rows)
    notes += _fleet_lines(context, {app.target.app for app in apps.values()})
    notes += frozen_lines(context, tuple(apps.values()))
    return Table("Apps", COLUMNS, tuple(rows), "\n".join(notes))


def _differing(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Apps whose clusters run different versions."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, version, cluster, *_ in rows:
        if version != "-":
            found.setdefault(name, {}).setdefault(version, []).append(cluster)
    return [
        f"{name} differs: "
        + "; ".join(f"{v} in {some_of(clusters, MAX_NAMED)}" for v, clusters in versions.items())
        for name, versions in found.items()
        if len(versions) > 1
    ]


def _fleet_lines(context: Context, names: Collection[str]) -> list[str]:
    """What is under way in several clusters, and what is done but for some of them."""
    fleets = [one for one in context.store.active() if one.fleet and one.target.app in names]
    return [f"{one.id}: {one.phase.words}, {stand_words(one)}" for one in fleets]


def _seen(context: Context, apps: tuple[App, ...]) -> tuple[dict[str, Observation], list[str]]:
    """By what a command names each app with."""

    def read(here: tuple[App, ...]) -> Mapping[str, Observation]:
        targets = [app.target for app in here]
        found = context.cluster(targets[0].cluster).observe_apps(targets)
        return {one.typed: found[one.app] for one in targets if one.app in found}

    seen: dict[str, Observation] = {}
    notes = []
    parts = by_cluster(apps)
    for cluster, answer in side_by_side(context.runtime, parts, read).items():
        if isinstance(answer, Refused):
            raise answer
        if isinstance(answer, ClusterUnreachable):
            named = some_of([app.target.app for app in parts[cluster]], MAX_NAMED)
            notes.append(f"{named}: the cluster {cluster} is unreachable: {answer.why}")
        else:
            seen |= answer
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
    freezes = freezes_in_force(context)
    return [f"🧊 {one.line}" for one in freezes if any(one.covers(*place) for place in places)]


def running_release(context: Context, target: Target) -> Release | None:
    """The release of this app and cluster that holds the lock, else the first that waits for
    it."""
    active = context.store.active(target.app, target.cluster)
    return next((r for r in active if not r.queued_behind), active[0] if active else None)
