"""The plan of what is in the `/deploy` form, computed as a dry run and drawn into the form while it
is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from bot.commands.model import DeployCommand
from bot.commands.parse import KnownNames, parse
from bot.operations.context import Context
from bot.operations.queries.plan_release import plan_release
from bot.operations.replies import PlanReply, Refusal, Reply
from bot.operations.requests import DeployForm, KnownVersion
from bot.ports import ClusterUnreachable, MessageGone, RateLimited, Refused, SlackUnavailable
from bot.releases.facts.people import Person
from bot.releases.facts.target import Strategy
from bot.releases.planning.refusals import PlanRefused


def ask_for_preview(
    context: Context, by: Person, form: DeployForm, *, view_id: str, view_hash: str
) -> None:
    """``view_hash`` is that of the form as it was last drawn: what was changed since is previewed
    by its own change."""
    context.queue.ask(
        {
            "kind": "preview",
            "person": asdict(by),
            "form": asdict(form),
            "view_id": view_id,
            "view_hash": view_hash,
        }
    )


def preview_release(context: Context, query: Mapping[str, Any]) -> None:
    form = form_of(query["form"])
    reply = _plan(context, form, query)
    if isinstance(reply, PlanReply):
        lines = context.render.plan(reply.plan)
    else:
        lines = (f"⚠️ {reply.line}",) if isinstance(reply, Refusal) else ()
    try:
        view = context.render.form(
            replace(form, preview=lines, computed=isinstance(reply, PlanReply))
        )
        context.messenger.update_view(query["view_id"], query["view_hash"], view)
    except (MessageGone, RateLimited, SlackUnavailable):
        # closed or changed meanwhile, or too much at once: the outline that stands there is not
        # wrong
        pass


def _plan(context: Context, form: DeployForm, query: Mapping[str, Any]) -> Reply:
    known = KnownNames(tuple(context.catalog.apps), (), context.catalog.clusters)
    command = parse(form.command, known)
    if not isinstance(command, DeployCommand) or command.app is None or command.version is None:
        return Refusal(getattr(command, "line", "the form is not filled in yet"))
    app = context.catalog.apps[command.app]
    words = {
        "version": command.version,
        "strategy": form.strategy.value,
        "steps": command.steps,
        "hold_ms": None,
        "sticky": False,
    }
    try:
        return plan_release(
            context,
            app,
            {
                **words,
                "cluster": app.target.cluster,
                "person": query["person"],
                "text": form.command,
            },
        )
    except ClusterUnreachable as away:
        return Refusal(f"the cluster cannot be reached: {away.why}")
    except (Refused, PlanRefused) as refused:
        return Refusal(str(refused))


def form_of(stored: Mapping[str, Any]) -> DeployForm:
    """What ``asdict`` of a form became as JSON; its preview is computed anew."""
    known = tuple(KnownVersion(**one) for one in stored["known"])
    return DeployForm(
        **{
            **stored,
            "apps": tuple(stored["apps"]),
            "known": known,
            "preview": (),
            "strategy": Strategy(stored["strategy"]),
        }
    )
