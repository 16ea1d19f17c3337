"""Observe an app outside a release's tick, with its candidate; in a kept pair, the Deployment that
serves counts as stable."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import App, Context
from bot.operations.queries.list_apps import running_release
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.facts.observation import Observation
from bot.releases.facts.target import Strategy, default_candidate_name


def observe_app(context: Context, app: App) -> Observation:
    """Raises ClusterUnreachable, also where the catalog no longer names the cluster."""
    cluster = context.cluster(app.target.cluster)
    release = running_release(context, app.target.app)
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
