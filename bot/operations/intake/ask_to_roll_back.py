"""Roll back, clicked where a release is over or at a revision of the history: a worker answers,
since only the cluster knows what runs now."""

from __future__ import annotations

from bot.commands.model import RolloutCommand
from bot.commands.table import act_of
from bot.operations.access.refuse import refuse
from bot.operations.context import Context
from bot.operations.lifecycle.start_release import refusal_at_once
from bot.operations.queries.undo_to_revision import STATE
from bot.operations.replies import Pending, Refusal, Reply
from bot.operations.requests import BUTTON, Click
from bot.policy.decision import POSTED, place_of_target
from bot.query import Query, ReplyTo, RollBackOf, StartRequest, dump_start
from bot.releases.facts.changes import Undo
from bot.releases.facts.release import Release


def ask_to_roll_back(context: Context, click: Click, release: Release, of: RollBackOf) -> Reply:
    target, by = release.target, click.person
    app = context.catalog.find(target.app, target.cluster)
    if app is None:
        return Refusal(f"The catalog no longer has the app `{target.label}`.")
    name = app.target.typed
    command = RolloutCommand("undo", target.app, cluster=target.cluster)
    place = place_of_target(app.target)
    refusal = refuse(context, by, act_of(command), POSTED, place) or refusal_at_once(
        context, app, Undo(), by=by, channel=release.channel, reason=""
    )
    if refusal is not None:
        return refusal
    key = f"{click.dedup_key}:{by.user}" if click.dedup_key else context.runtime.new_id()
    request = StartRequest(
        command,
        name,
        by,
        ReplyTo(click.channel, response_url=click.response_url),
        f"rollout undo {name}",
        BUTTON,
        key,
        of,
    )
    context.store.ask_to_start(name, dump_start(request), operation=f"ask:{key}")
    return Pending()


def ask_to_roll_back_to(
    context: Context, click: Click, typed: str, revision: int, state: str
) -> Reply:
    """``typed``: the app as a command names it. ``state``: what the button was drawn for."""
    app, by = context.catalog.apps.get(typed), click.person
    if app is None:
        return Refusal(f"The catalog no longer has the app `{typed}`.")
    target = app.target
    command = RolloutCommand("undo", target.app, revision, cluster=target.cluster)
    place = place_of_target(target)
    refusal = refuse(context, by, act_of(command), POSTED, place) or refusal_at_once(
        context, app, Undo(revision), by=by, channel=click.channel, reason=""
    )
    if refusal is not None:
        return refusal
    key = f"{click.dedup_key}:{by.user}" if click.dedup_key else context.runtime.new_id()
    text = f"rollout undo {typed} --to-revision {revision}"
    to = ReplyTo(click.channel, response_url=click.response_url)
    context.queue.ask(Query(command, by, to, (typed,), text, key, confirms={STATE: state}))
    return Pending()
