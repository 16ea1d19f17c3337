"""The plan of the open `/deploy` form, computed as a dry run and drawn into the form."""

from __future__ import annotations

from dataclasses import replace

from bot.commands.deploy_form import DeployForm
from bot.commands.model import DeployCommand, Mistake
from bot.commands.parse import parse
from bot.operations.access.refuse import refuse_reader
from bot.operations.context import Context
from bot.operations.queries.list_apps import frozen_lines
from bot.operations.queries.plan_release import plan_release
from bot.operations.replies import PlanReply, Refusal, Reply
from bot.ports import ClusterUnreachable, MessageGone, RateLimited, Refused, SlackUnavailable
from bot.query import PreviewCommand, Query, ReplyTo
from bot.releases.facts.people import Person
from bot.releases.planning.refusals import PlanRefused


def ask_for_preview(
    context: Context, by: Person, form: DeployForm, *, view_id: str, view_hash: str
) -> None:
    """``view_hash`` is the hash of the form as last drawn: a later change of the form asks for
    its own preview."""
    command = PreviewCommand(replace(form, preview=()), view_id, view_hash)
    context.queue.ask(Query(command, by, ReplyTo(form.channel), (form.app,), form.command))


def preview_release(context: Context, command: PreviewCommand, by: Person) -> None:
    form = command.form
    if refuse_reader(context, by) is not None:
        return
    reply = _plan(context, form, by)
    if isinstance(reply, PlanReply):
        lines = (*_frozen(context, form), *context.render.plan(reply.plan))
    else:
        lines = (f"⚠️ {reply.line}",) if isinstance(reply, Refusal) else ()
    try:
        view = context.render.form(
            replace(form, preview=lines, computed=isinstance(reply, PlanReply))
        )
        context.messenger.update_view(command.view_id, command.view_hash, view)
    except (MessageGone, RateLimited, SlackUnavailable):
        # The form was closed or changed, or Slack accepts no more: its outline is still right.
        pass


def _frozen(context: Context, form: DeployForm) -> list[str]:
    app = context.catalog.apps.get(form.app)
    return frozen_lines(context, (app,)) if app is not None else []


def _plan(context: Context, form: DeployForm, by: Person) -> Reply:
    command = parse(form.command, context.catalog.known())
    if isinstance(command, Mistake):
        return Refusal(command.line)
    if not isinstance(command, DeployCommand) or command.app is None or command.version is None:
        return Refusal("The form is not filled in yet.")
    app = context.catalog.named(command.app, command.cluster)
    try:
        return plan_release(context, app, command, by=by, text=form.command)
    except ClusterUnreachable as away:
        return Refusal(f"The cluster is unreachable: {away.why}")
    except (Refused, PlanRefused) as refused:
        return Refusal(str(refused))
