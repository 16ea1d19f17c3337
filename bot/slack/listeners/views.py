"""The `/deploy` form: each change redraws it, and submitting it runs the command that it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from slack_bolt import Ack, App

from bot.commands.deploy_form import DeployForm
from bot.operations.access.refuse import refuse
from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import Refusal
from bot.operations.requests import Invocation
from bot.policy.decision import READING
from bot.slack.blocks.modal import CALLBACK, app_options, read_form
from bot.slack.listeners.answering import Answering, person_of
from bot.slack.listeners.deploy_form import FormChange, redraw

MAX_ERROR = 2_000


def register(app: App, answering: Answering) -> None:
    @app.action(re.compile(r"deploy_\w+"))
    def on_change(ack: Ack, body: Mapping[str, Any]) -> None:
        ack()
        context = answering.context
        change = change_of(body, sorted(context.catalog.apps))
        answering.after(lambda: redraw(context, change))

    @app.options("deploy_app")
    def on_options(ack: Ack, body: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        context = answering.context
        may_read = refuse(context, person_of(body), READING) is None
        apps = sorted(context.catalog.apps) if may_read else []
        ack(options=app_options(apps, str(payload.get("value") or "")))

    @app.view(CALLBACK)
    def on_submit(ack: Ack, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        context = answering.context
        form = read_form(view, sorted(context.catalog.apps))
        if form.version:
            reply = handle_command(context, invocation_of(body, view, form))
        else:
            reply = Refusal("Enter a version, or choose a known one.")
        if isinstance(reply, Refusal):
            ack(response_action="errors", errors=form_errors(view, reply))
            return
        ack()
        answering.reply(person_of(body).user, form.channel, reply)


def invocation_of(body: Mapping[str, Any], view: Mapping[str, Any], form: DeployForm) -> Invocation:
    """A view submitted twice has the same id, so the second submission finds the first release."""
    key = f"view:{view.get('id', '')}"
    return Invocation(person_of(body), form.channel, form.command, "/deploy", key, via="modal")


def form_errors(view: Mapping[str, Any], refusal: Refusal) -> dict[str, str]:
    """The line at the field that the refusal is about, if the form shows that field."""
    shown = view.get("state", {}).get("values", {})
    field = refusal.field if refusal.field in shown else "version"
    return {field: refusal.line[:MAX_ERROR]}


def change_of(body: Mapping[str, Any], apps: Sequence[str]) -> FormChange:
    view, action = body.get("view") or {}, (body.get("actions") or [{}])[0]
    seconds, _, fraction = str(action.get("action_ts") or "0").partition(".")
    at = int(seconds) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    return FormChange(person_of(body), str(view.get("id", "")), at, read_form(view, apps))
