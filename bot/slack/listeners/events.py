"""Mentions, the only commands that work inside threads, direct messages, and the home tab."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_bolt import App

from bot.commands.normalise import without_mention
from bot.operations.context import Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.queries.list_running import list_running
from bot.operations.replies import Refusal
from bot.operations.requests import Invocation
from bot.releases.facts.people import Person
from bot.slack.home_tab import publish_home
from bot.slack.listeners.answering import Answering

OLDEST_MS = 300_000
"""As old as a signature may be."""
RUNNING = "running"
ASKS_WHAT_RUNS = frozenset(
    {
        "running",
        "what is running",
        "what's running",
        "whats running",
        "what runs",
    }
)
TS = re.compile(r"([0-9]{1,12})\.([0-9]{3})[0-9]*")


def register(app: App, answering: Answering) -> None:
    @app.event("app_mention")
    def on_mention(event: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        invocation = invocation_of(event, body)
        if event.get("bot_id") or not invocation.person.user:
            return  # posted by an app
        invocation = replace(invocation, person=named(answering.context, invocation.person))
        reply = _refuse_late(event) or handle_command(answering.context, invocation)
        answering.in_thread(invocation.channel, invocation.person.user, invocation.thread_ts, reply)

    @app.event("app_home_opened")
    def on_home(event: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        person = Person(str(body.get("team_id", "")), str(event.get("user", "")))
        if event.get("tab", "home") == "home":
            answering.after(lambda: publish_home(answering.context, person))

    @app.event("message")
    def on_message(event: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """In a channel only slash commands and mentions are commands."""
        if event.get("channel_type") != "im" or event.get("bot_id") or event.get("subtype"):
            return
        invocation = invocation_of(event, body)
        text = said_in_person(str(event.get("text") or ""))
        if not invocation.person.user or not text:
            return
        person, channel = named(answering.context, invocation.person), invocation.channel
        if text == RUNNING:
            answering.in_person(person.user, list_running(answering.context, person))
            return
        asked = replace(invocation, person=person, text=text, channel=channel, thread_ts="")
        reply = _refuse_late(event) or handle_command(answering.context, asked)
        answering.in_person(person.user, reply)


def said_in_person(text: str) -> str:
    """
    >>> said_in_person("What is running?"), said_in_person("status hello"), said_in_person("Help!")
    ('running', 'rollout status hello', 'help')
    """
    words = re.sub(r"<@[^<>]*>", " ", text).strip().rstrip("?!. ").removeprefix("/")
    plain = " ".join(words.lower().replace("’", "'").split())
    if plain in ASKS_WHAT_RUNS:
        return RUNNING
    if plain == "status" or plain.startswith("status "):
        return f"rollout {words}"
    return plain if plain == "help" else words


def named(context: Context, person: Person) -> Person:
    """Events carry ids alone. The name is the one that slash commands and clicks carry, so that a
    person is spelled the same everywhere."""
    name = context.directory.name_of(person.user)
    return replace(person, name="" if name == person.user else name)


def _refuse_late(event: Mapping[str, Any]) -> Refusal | None:
    """Slack sends a mention again when its message is edited, and late when it could not be
    delivered. What a person wanted then is not what they want now."""
    if event.get("edited"):
        return Refusal("Edited messages are not commands.", "Send it again.")
    if time.time() * 1000 - _sent_at(event) > OLDEST_MS:
        return Refusal("That message is more than 5 minutes old.", "Send it again.")
    return None


def _sent_at(event: Mapping[str, Any]) -> int:
    """Milliseconds by Slack's clock; 0 for a time that cannot be read."""
    ts = TS.fullmatch(str(event.get("ts") or ""))
    return int(ts[1]) * 1000 + int(ts[2]) if ts else 0


def invocation_of(event: Mapping[str, Any], body: Mapping[str, Any]) -> Invocation:
    """The event names the bot's own user id; a redelivered event has the same id."""
    authorizations = body.get("authorizations") or [{}]
    bot_user = str(authorizations[0].get("user_id") or "")
    said = str(event.get("text") or "")
    text = without_mention(said, bot_user) if bot_user else said.partition(">")[2].strip()
    team = str(event.get("user_team") or event.get("team") or "")
    return Invocation(
        person=Person(team, str(event.get("user") or "")),
        channel=str(event.get("channel") or ""),
        text=text,
        command="@mention",
        dedup_key=f"event:{body.get('event_id', '')}",
        thread_ts=str(event.get("thread_ts") or event.get("ts") or ""),
        via="mention",
        sent_at=_sent_at(event),
    )
