"""The forms of buttons: Reject, and Finish of a fleet, ask for a reason, Abort what becomes of the
queue. Submitting one completes the click."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.operations.intake.handle_click import handle_click
from bot.operations.replies import AskReasonReply
from bot.operations.requests import Click
from bot.slack.blocks.abort_modal import ABORT_CALLBACK, abort_modal, read_choice
from bot.slack.blocks.reason_modal import (
    FINISH_CALLBACK,
    REJECT_CALLBACK,
    finish_modal,
    read_reason,
    reject_modal,
)
from bot.slack.listeners.answering import Answering, person_of


def register(app: App, answering: Answering) -> None:
    @app.view(REJECT_CALLBACK)
    def on_reason(ack: Ack, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        click = click_of(body, view)
        reply = handle_click(answering.context, click)
        ack()
        answering.answer(click, reply)

    @app.view(FINISH_CALLBACK)
    def on_finish(ack: Ack, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        click = replace(click_of(body, view), action="finish")
        reply = handle_click(answering.context, click)
        ack()
        answering.answer(click, reply)

    @app.view(ABORT_CALLBACK)
    def on_abort(ack: Ack, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        then, carried = read_choice(view)
        click = replace(_click(body, view, carried), action="abort", then=then)
        reply = handle_click(answering.context, click)
        ack()
        answering.answer(click, reply)


def open_form(client: WebClient, click: Click, asked: AskReasonReply) -> bool:
    """False when the trigger has expired (after 3 s)."""
    carried = {
        "value": click.value,
        "channel": click.channel,
        "message_ts": click.message_ts,
        "response_url": click.response_url,
    }
    try:
        client.views_open(trigger_id=click.trigger_id, view=dict(_form_of(asked, carried)))
    except (SlackApiError, OSError):
        return False
    return True


def _form_of(asked: AskReasonReply, carried: Mapping[str, str]) -> Mapping[str, Any]:
    if asked.to_abort:
        return abort_modal(asked.release, asked.waiting, carried)
    if asked.to_finish:
        return finish_modal(asked.release, carried)
    return reject_modal(asked.release, carried)


def click_of(body: Mapping[str, Any], view: Mapping[str, Any]) -> Click:
    reason, carried = read_reason(view)
    return replace(_click(body, view, carried), text=reason)


def _click(body: Mapping[str, Any], view: Mapping[str, Any], carried: Mapping[str, str]) -> Click:
    return Click(
        person=person_of(body),
        channel=str(carried.get("channel", "")),
        action="reject",
        value=str(carried.get("value", "")),
        message_ts=str(carried.get("message_ts", "")),
        response_url=str(carried.get("response_url", "")),
        dedup_key=f"view:{view.get('id', '')}",
        was_asked_why=True,
    )
