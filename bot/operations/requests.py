"""What comes in from Slack, as domain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.releases.facts.people import Person

BUTTON = "button"
"""The ``command`` of an Invocation that a button of the help made, not a person who typed."""


@dataclass(frozen=True)
class Invocation:
    """A command, typed in any way. ``text`` begins with the command's name: "deploy hello
    2.0.0"."""

    person: Person
    channel: str
    text: str
    command: str  # as typed: "/deploy", "/pilothouse", "@Pilothouse"
    dedup_key: str
    response_url: str = ""
    trigger_id: str = ""
    thread_ts: str = ""
    via: Literal["slash", "mention", "modal"] = "slash"
    sent_at: int | None = None  # by Slack's clock, where the request says so


@dataclass(frozen=True)
class Click:
    """A button. ``value`` is the JSON the button carried: release id, gate, plan hash."""

    person: Person
    channel: str
    action: str
    value: str
    message_ts: str
    response_url: str = ""
    trigger_id: str = ""
    dedup_key: str = ""
    text: str = ""
    was_asked_why: bool = False  # the form of the button was submitted, or cannot be opened
    then: Literal["hold", "start"] = "hold"  # what an abort makes of the queue
