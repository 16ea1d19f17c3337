"""The `/deploy` form: each change redraws it, and submitting equals typing its command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.operations.invocation import Invocation, Refusal
from bot.operations.take_command import take_command
from bot.slack.blocks.modal import CALLBACK, DeployForm, deploy_modal, read_form
from bot.slack.errors import BlocksRefused, translated
from bot.slack.listeners.answering import Answering, person_of
from bot.slack.listeners.deploy_form import refreshed


def register(app: App, answering: Answering) -> None:
    context = answering.context

    @app.action(re.compile(r"deploy_\w+"))
    def on_change(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        view = body.get("view") or {}
        answering.after(lambda: _redraw(answering, client, view))

    @app.view(CALLBACK)
    def on_submit(ack: Ack, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        form = read_form(view, sorted(context.catalog.apps))
        if not form.version:
            ack(response_action="errors", errors={"version": "name a version, or choose a known one"})
            return
        reply = take_command(context, invocation_of(body, view, form))
        if isinstance(reply, Refusal):
            ack(response_action="errors", errors={error_block(reply.line, form): reply.line[:2_000]})
            return
        ack()
        user, channel, message = person_of(body).user, form.channel, answering.message(reply)
        answering.after(lambda: context.messenger.whisper(channel, user, message) if channel else None)


def invocation_of(body: Mapping[str, Any], view: Mapping[str, Any], form: DeployForm) -> Invocation:
    """A view submitted twice has the same id: the second is the first one's release."""
    key = f"view:{view.get('id', '')}"
    return Invocation(person_of(body), form.channel, form.command, "/deploy", key, via="modal")


def error_block(line: str, form: DeployForm) -> str:
    """Where in the form a refusal is shown: at the field it is about."""
    if line.startswith(("`steps", "steps ", "each step")) and form.steps:
        return "steps"
    return "app" if line.startswith(("no app", "that needs", "commands are not")) else "version"


def _redraw(answering: Answering, client: WebClient, view: Mapping[str, Any]) -> None:
    form = refreshed(answering.context, read_form(view, sorted(answering.context.catalog.apps)))
    drawn = dict(deploy_modal(form, answering.names))
    try:
        with translated("views.update"):
            client.views_update(view_id=str(view.get("id", "")), hash=str(view.get("hash", "")), view=drawn)
    except BlocksRefused as refused:
        raise RuntimeError(f"the form was refused: {refused.why}") from refused
