"""Whether a release could start now: the plan that its first tick would make, before it has an id.

A draft is no promise. The first tick plans again, from the cluster as it is then.
"""

from __future__ import annotations

from bot.operations.access.roles import read_beside
from bot.operations.context import App, Context
from bot.operations.lifecycle.draft_release import Draft, draft_release
from bot.operations.lifecycle.prepare_release import with_undo_template
from bot.ports import ClusterUnreachable, Refused
from bot.releases.engine.begin import make_plan
from bot.releases.facts.changes import Change
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target
from bot.releases.planning.refusals import PlanRefused


def check_start(
    context: Context,
    app: App,
    change: Change,
    *,
    by: Person,
    text: str,
    draft: Draft | None = None,
) -> Draft | PlanRefused | None:
    """None while another release runs on the same Deployment: what it leaves is not known yet.
    None too while the cluster does not say. ``draft``: of the same change, made a moment ago."""
    if busy_with(context, app.target) is not None:
        return None
    try:
        with read_beside(context, by):  # the first tick, a moment later, needs their roles
            draft = draft or draft_release(context, app, change, by=by, text=text)
        release, seen = draft.release, draft.seen
        if seen.stable is not None:
            release = with_undo_template(context, release, seen, seen.stable)
        make_plan(release, seen, context.store.now())
    except PlanRefused as refused:
        # A release that began meanwhile holds the Deployment.
        return None if busy_with(context, app.target) is not None else refused
    except (ClusterUnreachable, Refused):
        return None
    return draft


def waits_for_cluster(context: Context, target: Target) -> str:
    """What works while a button cannot: a typed undo becomes a release, which waits by itself."""
    typed = f"{context.names.typed('rollout')} undo {target.typed}"
    return f"Nothing was changed. `{typed}` waits for the cluster, and rolls back then."


def busy_with(context: Context, target: Target) -> Release | None:
    """The release that runs on the same Deployment; None where a new one could start."""
    others = (
        release
        for release in context.store.active()
        if _place(release.target) == _place(target) and release.held is None
    )
    return min(others, key=lambda release: bool(release.queued_behind), default=None)


def _place(target: Target) -> tuple[str, str, str]:
    return target.cluster, target.namespace, target.deployment
