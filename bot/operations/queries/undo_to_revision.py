"""`/rollout undo --to-revision N`: checks the revision before it creates a release, so that only
the person who asked sees a wrong one refused."""

from __future__ import annotations

from bot.commands.model import RolloutCommand
from bot.operations.context import App, Context
from bot.operations.lifecycle.check_start import check_start
from bot.operations.lifecycle.known_templates import (
    containers_of_others,
    known_templates,
    templates_key,
)
from bot.operations.lifecycle.start_release import start_release
from bot.operations.queries.app_state import app_state, changed_since
from bot.operations.queries.observe_app import observe_app
from bot.operations.replies import Refusal, Reply
from bot.query import Query
from bot.releases.facts.changes import Undo
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.planning.refusals import PlanRefused
from bot.releases.planning.undo import choose_undo

STATE = "state"
"""Where a query keeps what its button was drawn for."""


def undo_to_revision(context: Context, app: App, query: Query, command: RolloutCommand) -> Reply:
    """The release's first tick chooses the template again, from the cluster as it is then.

    Raises ClusterUnreachable; PlanRefused for a revision that is missing (it names the others) or
    was bad.
    """
    seen = observe_app(context, app)
    if seen.stable is None:
        return Refusal(
            f"There is no Deployment `{app.target.deployment}` in namespace {app.target.namespace}."
        )
    if (void := _void(context, app, query, seen, seen.stable)) is not None:
        return void
    known = known_templates(
        context,
        templates_key(seen.cluster_uid, app.target.namespace, seen.stable.name),
        seen.stable,
    )
    choose_undo(
        seen.stable,
        known,
        to_revision=command.to_revision,
        app=app.target.app,
        others=containers_of_others(context, app.target),
    )
    change = Undo(command.to_revision)
    checked = check_start(context, app, change, by=query.asker, text=query.text)
    if isinstance(checked, PlanRefused):
        raise checked
    return start_release(
        context,
        app,
        change,
        by=query.asker,
        channel=query.reply_to.channel,
        reason=command.reason,
        command=query.text,
        dedup_key=query.dedup_key,
    )


def _void(
    context: Context, app: App, query: Query, seen: Observation, stable: DeploymentSeen
) -> Refusal | None:
    """A button of the history is meant for what ran when it was drawn."""
    before = (query.confirms or {}).get(STATE)
    now = app_state(context, app, seen, stable)
    if before is None or before == now:
        return None
    what = changed_since(before, now)
    again = f"{context.names.typed('rollout')} history {app.target.typed}"
    return Refusal(
        f"That button is void: {what} since the history was shown.",
        f"Nothing was changed. Ask for `{again}` again.",
    )
