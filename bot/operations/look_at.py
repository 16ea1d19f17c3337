"""One look at an app outside a release's tick: what its running release has as candidate is looked at too."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.list_apps import running_release
from bot.ports import ClusterUnreachable
from bot.releases.model import Strategy, usual_candidate
from bot.releases.observation import Observation


def look_at(context: Context, app: App) -> Observation:
    """Raises ClusterUnreachable, also where the catalog no longer has the cluster."""
    try:
        cluster = context.clusters[app.target.cluster]
    except KeyError:
        raise ClusterUnreachable(f"the catalog has no cluster {app.target.cluster}") from None
    release = running_release(context, app.target.app)
    candidate = release.candidate_name if release is not None else ""
    seen = cluster.observe(app.target, candidate=candidate or usual_candidate(app.target.deployment, Strategy.CANARY))
    if not candidate and seen.candidate is None:
        green = cluster.observe(app.target, candidate=usual_candidate(app.target.deployment, Strategy.BLUEGREEN))
        return green if green.candidate is not None else seen
    return seen
