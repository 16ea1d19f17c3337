"""`/rollout undo --to-revision N`: the revision is looked for before there is a release, so that a
wrong one concerns nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.operations.context import App, Context
from bot.operations.lifecycle.known_templates import known_templates, templates_key
from bot.operations.lifecycle.start_release import start_release
from bot.operations.queries.observe_app import observe_app
from bot.operations.replies import Refusal, Reply
from bot.releases.facts.changes import Undo
from bot.releases.facts.people import Person
from bot.releases.planning.undo import choose_undo


def undo_to_revision(context: Context, app: App, query: Mapping[str, Any]) -> Reply:
    """Which template it is to be is chosen again by the release's first tick, which sees the
    cluster as it is then.

    Raises ClusterUnreachable; PlanRefused for a revision that is not there, naming those that are,
    or one that was bad.
    """
    seen = observe_app(context, app)
    if seen.stable is None:
        return Refusal(
            f"there is no Deployment `{app.target.deployment}` in namespace {app.target.namespace}"
        )
    known = known_templates(
        context,
        templates_key(seen.cluster_uid, app.target.namespace, seen.stable.name),
        seen.stable,
    )
    choose_undo(seen.stable, known, to_revision=query["revision"], app=app.target.app)
    return start_release(
        context,
        app,
        Undo(query["revision"]),
        by=Person(**query["person"]),
        channel=query["channel"],
        reason=query["reason"],
        command=query["text"],
        dedup_key=query["dedup_key"],
    )
