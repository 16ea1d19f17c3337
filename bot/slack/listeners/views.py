"""The `/deploy` form: each change redraws it, and submitting equals typing its command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from slack_bolt import Ack, App

from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import Refusal
from bot.operations.requests import DeployForm, Invocation
from bot.slack.blocks.modal import CALLBACK, app_options, read_form
from bot.slack.listeners.answering import Answering, person_of
from bot.slack.listeners.deploy_form import FormChange, redraw


def register(app: App, answering: Answering) -> None:
    context = answering.context

    @app.action(re.compile(r"deploy_\w+"))
    def on_change(ack: Ack, body: Mapping[str, Any]) -> None:
        ack()
        change = change_of(body, sorted(context.catalog.apps))
        answering.after(lambda: redraw(context, change))

    @app.options("deploy_app")
    def on_options(ack: Ack, payload: Mapping[str, Any]) -> None:
        ack(options=app_options(sorted(context.catalog.apps), str(payload.get("value") or "")))

    @app.view(CALLBACK)
    def on_submit(ack: Ack, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        form = read_form(view, sorted(context.catalog.apps))
        if not form.version:
            ack(
                response_action="errors",
                errors={"version": "name a version, or choose a known one"},
            )
            return
        reply = handle_command(context, invocation_of(body, view, form))
        if isinstance(reply, Refusal):
            ack(
                response_action="errors", errors={error_block(reply.line, form): reply.line[:2_000]}
            )
            return
        ack()
        answering.tell(person_of(body).user, form.channel, reply)


def invocation_of(body: Mapping[str, Any], view: Mapping[str, Any], form: DeployForm) -> Invocation:
    """A view submitted twice has the same id: the second is the first one's release."""
    key = f"view:{view.get('id', '')}"
    return Invocation(person_of(body), form.channel, form.command, "/deploy", key, via="modal")


def error_block(line: str, form: DeployForm) -> str:
    """Where in the form a refusal is shown: at the field it is about."""
    if line.startswith(("`steps", "steps ", "each step")) and form.steps:
        return "steps"
    return "app" if line.startswith(("no app", "that needs", "commands are not")) else "version"


def change_of(body: Mapping[str, Any], apps: Sequence[str]) -> FormChange:
    view, action = body.get("view") or {}, (body.get("actions") or [{}])[0]
    seconds, _, fraction = str(action.get("action_ts") or "0").partition(".")
    at = int(seconds) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    return FormChange(person_of(body), str(view.get("id", "")), at, read_form(view, apps))
