"""Clicks on buttons and menus of messages and of the home tab."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.operations.intake.handle_click import handle_click
from bot.operations.replies import AskReasonReply, OpenFormReply
from bot.operations.requests import Click
from bot.slack.blocks.buttons import ACTION_PREFIX
from bot.slack.home_tab import publish_home
from bot.slack.listeners.answering import Answering, person_of
from bot.slack.listeners.commands import open_modal
from bot.slack.listeners.rejections import open_form


def register(app: App, answering: Answering) -> None:
    @app.action(re.compile(rf"{ACTION_PREFIX}\w+(:\w+)?"))
    def on_click(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        click = click_of(body)
        reply = handle_click(answering.context, click)
        if isinstance(reply, AskReasonReply) and not open_form(client, click, reply):
            reply = handle_click(answering.context, replace(click, was_asked_why=True))
        opened = isinstance(reply, AskReasonReply) or (
            isinstance(reply, OpenFormReply)
            and open_modal(answering, client, click.trigger_id, click.channel, reply)
        )
        ack()
        if not opened:
            answering.answer(click, reply)
        if (body.get("view") or {}).get("type") == "home" and not opened:
            answering.after(lambda: publish_home(answering.context, click.person, page_of(click)))


def page_of(click: Click) -> int:
    """The number of the first app that the home tab's menu of pages names."""
    found = re.fullmatch(r'\{"what": "([0-9]{1,5})"\}', click.value)
    return int(found[1]) if click.action == "page" and found else 0


def click_of(body: Mapping[str, Any]) -> Click:
    action = body["actions"][0]
    container = body.get("container") or {}
    message_ts = str(container.get("message_ts") or (body.get("message") or {}).get("ts") or "")
    action_ts = action.get("action_ts") or body.get("trigger_id")
    return Click(
        person=person_of(body),
        channel=str((body.get("channel") or {}).get("id") or container.get("channel_id") or ""),
        action=str(action.get("action_id", "")).removeprefix(ACTION_PREFIX).partition(":")[0],
        value=str(action.get("value") or (action.get("selected_option") or {}).get("value") or ""),
        message_ts=message_ts,
        response_url=str(body.get("response_url") or ""),
        trigger_id=str(body.get("trigger_id") or ""),
        dedup_key=f"click:{message_ts}:{action.get('action_id')}:{action_ts}",
    )
