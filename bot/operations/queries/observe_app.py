"""Observe an app outside a release's tick, with its candidate; in a kept pair, the Deployment that
serves counts as stable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.operations.context import App, Context
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.side_by_side import by_cluster, side_by_side
from bot.ports import ClusterUnreachable, Refused
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.facts.observation import Observation
from bot.releases.facts.target import Strategy, default_candidate_name


def observe_each(
    context: Context, apps: Sequence[App]
) -> tuple[tuple[App, Observation | ClusterUnreachable], ...]:
    """In the order of ``apps``: a cluster that does not answer hides no other. Raises
    ClusterUnreachable where none answers."""

    def read(here: tuple[App, ...]) -> dict[str, Observation]:
        return {app.target.typed: observe_app(context, app) for app in here}

    seen: dict[str, Observation] = {}
    away: dict[str, ClusterUnreachable] = {}
    parts = by_cluster(apps)
    for cluster, answer in side_by_side(context.runtime, parts, read).items():
        if isinstance(answer, Refused):
            raise answer
        if isinstance(answer, ClusterUnreachable):
            away[cluster] = answer
        else:
            seen |= answer
    if away and len(away) == len(parts):
        raise next(iter(away.values()))
    return tuple((app, away.get(app.target.cluster) or seen[app.target.typed]) for app in apps)


def unreachable_line(app: App, away: ClusterUnreachable) -> str:
    return f"{app.target.label}: the cluster {app.target.cluster} is unreachable: {away.why}"


def observe_app(context: Context, app: App) -> Observation:
    """Raises ClusterUnreachable, also where the catalog no longer names the cluster."""
    cluster = context.cluster(app.target.cluster)
    release = running_release(context, app.target)
    if release is not None and release.candidate_name:
        return cluster.observe(release.target, candidate=release.candidate_name)
    green, canary = (
        default_candidate_name(app.target, strategy)
        for strategy in (Strategy.BLUEGREEN, Strategy.CANARY)
    )
    seen = cluster.observe(app.target, candidate=green, or_candidate=canary)
    candidate_serves = retarget_to_serving(app.target, seen) != app.target
    if not candidate_serves:
        return seen
    return replace(seen, stable=seen.candidate, candidate=seen.stable)
