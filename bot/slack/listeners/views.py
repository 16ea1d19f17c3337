"""The `/deploy` form: each change redraws it, and submitting equals typing its command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slack_bolt import Ack, App

from bot.operations.invocation import DeployForm, Invocation, Refusal
from bot.operations.preview_release import ask_for_preview
from bot.operations.take_command import take_command
from bot.releases.model import Person
from bot.slack.blocks.modal import CALLBACK, app_options, read_form
from bot.slack.listeners.answering import Answering, person_of
from bot.slack.listeners.deploy_form import refreshed


def register(app: App, answering: Answering) -> None:
    context = answering.context

    @app.action(re.compile(r"deploy_\w+"))
    def on_change(ack: Ack, body: Mapping[str, Any]) -> None:
        ack()
        view, person = body.get("view") or {}, person_of(body)
        answering.after(lambda: _redraw(answering, person, view))

    @app.options("deploy_app")
    def on_options(ack: Ack, payload: Mapping[str, Any]) -> None:
        ack(options=app_options(sorted(context.catalog.apps), str(payload.get("value") or "")))

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


def _redraw(answering: Answering, person: Person, view: Mapping[str, Any]) -> None:
    """At once in outline, for that needs no cluster; with a version the worker's plan follows.

    Without the hash that came with the change: two changes in quick succession carry the same one, and the later must be drawn.
    """
    context, view_id = answering.context, str(view.get("id", ""))
    form = refreshed(context, read_form(view, sorted(context.catalog.apps)))
    drawn = context.messenger.update_view(view_id, "", context.render.form(form))
    if form.app and form.version:
        ask_for_preview(context, person, form, view_id=view_id, view_hash=drawn)
