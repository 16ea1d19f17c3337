"""Whether a release could start now: the plan that its first tick would make, before it has an id.

None is no promise. The first tick plans again, from the cluster as it is then.
"""

from __future__ import annotations

from dataclasses import replace

from bot.operations.access.roles import read_beside
from bot.operations.context import App, Context
from bot.operations.lifecycle.find_stale_claims import find_stale_claims
from bot.operations.lifecycle.prepare_release import with_undo_template
from bot.ports import ClusterUnreachable, Refused
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.engine.begin import make_plan
from bot.releases.facts.changes import Change
from bot.releases.facts.observation import Observation
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target, default_candidate_name
from bot.releases.planning.refusals import PlanRefused


def check_start(
    context: Context, app: App, change: Change, *, by: Person, text: str
) -> PlanRefused | None:
    """None while another release runs on the same Deployment: what it leaves is not known yet.
    None too while the cluster does not say."""
    if _is_busy(context, app.target):
        return None
    try:
        with read_beside(context, by):  # the first tick, a moment later, needs their roles
            release, seen = drafted(context, app, change, by=by, text=text)
        if seen.stable is not None:
            release = with_undo_template(context, release, seen, seen.stable)
        make_plan(release, seen, context.store.now())
    except PlanRefused as refused:
        # A release that began meanwhile holds the Deployment.
        return None if _is_busy(context, app.target) else refused
    except (ClusterUnreachable, Refused):
        return None
    return None


def drafted(
    context: Context, app: App, change: Change, *, by: Person, text: str
) -> tuple[Release, Observation]:
    """A release without an id, and what its first tick would observe. Raises ClusterUnreachable,
    Refused."""
    now = context.store.now()
    release = Release(
        "dry-run", app.target, app.rules, change, by, app.channel, "", now, command=text
    )
    cluster = context.cluster(app.target.cluster)
    seen = cluster.observe(app.target, candidate=_candidate(release), survey=True)
    serving = retarget_to_serving(app.target, seen)
    if serving != app.target:
        release = replace(release, target=serving)
        seen = cluster.observe(serving, candidate=_candidate(release), survey=True)
    return find_stale_claims(context, release, seen), seen


def _candidate(release: Release) -> str:
    return default_candidate_name(release.target, release.strategy)


def _is_busy(context: Context, target: Target) -> bool:
    return any(
        _place(release.target) == _place(target) and release.held is None
        for release in context.store.active()
    )


def _place(target: Target) -> tuple[str, str, str]:
    return target.cluster, target.namespace, target.deployment
