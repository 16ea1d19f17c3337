"""Slash commands: every command of the table under any registered name, and
`/pilothouse COMMAND`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.commands.table import spoken
from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import OpenFormReply, Pending, TextReply
from bot.operations.requests import Invocation
from bot.slack.blocks.tables import without_tables
from bot.slack.listeners.answering import Answering, ack_body, person_of
from bot.slack.listeners.deploy_form import first_form


def register(app: App, answering: Answering) -> None:
    @app.command(re.compile(r"/.+"))
    def on_command(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        invocation = invocation_of(body)
        reply = handle_command(answering.context, invocation)
        if isinstance(reply, Pending) or (
            isinstance(reply, OpenFormReply)
            and open_modal(answering, client, invocation.trigger_id, invocation.channel, reply)
        ):
            ack()
        else:
            # Slack drops an acknowledgement with blocks that it cannot draw.
            message = without_tables(answering.message(reply))
            in_channel = isinstance(reply, TextReply) and reply.in_channel
            ack(response_type="in_channel" if in_channel else "ephemeral", **ack_body(message))


def invocation_of(body: Mapping[str, Any]) -> Invocation:
    command = str(body.get("command", ""))
    trigger = str(body.get("trigger_id", ""))
    return Invocation(
        person=person_of(body),
        channel=str(body.get("channel_id", "")),
        text=spoken(command, str(body.get("text") or "")),
        command=command,
        dedup_key=f"command:{trigger}",
        response_url=str(body.get("response_url", "")),
        trigger_id=trigger,
    )


def open_modal(
    answering: Answering, client: WebClient, trigger_id: str, channel: str, asked: OpenFormReply
) -> bool:
    """False when the trigger has expired (after 3 s): the reply then shows what to type."""
    form = first_form(answering.context, asked, channel)
    try:
        client.views_open(trigger_id=trigger_id, view=dict(answering.context.render.form(form)))
    except (SlackApiError, OSError):
        return False
    return True
