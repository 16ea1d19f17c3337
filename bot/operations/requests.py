"""What comes in from Slack, as domain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.releases.facts.people import Person
from bot.releases.facts.target import Strategy


@dataclass(frozen=True)
class Invocation:
    """A typed command, however it was typed. ``text`` begins with the command's name: "deploy hello
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
    was_asked_why: bool = False  # the form for a reason was filled in, or cannot be opened


@dataclass(frozen=True)
class KnownVersion:
    """``where``: what else runs it, "" for one of the app's own history."""

    version: str
    where: str = ""


@dataclass(frozen=True)
class DeployForm:
    """What the `/deploy` form shows and holds. ``known``: versions of the chosen app, newest first,
    then what runs elsewhere."""

    apps: tuple[str, ...]
    app: str = ""
    known: tuple[KnownVersion, ...] = ()
    version: str = ""
    strategy: Strategy = Strategy.ROLLING
    steps: str = ""
    reason: str = ""
    channel: str = ""
    preview: tuple[str, ...] = ()  # what the release would do, one line a step
    # the preview is the plan, computed against the cluster; else the outline by the catalog
    computed: bool = False

    @property
    def command(self) -> str:
        """What would be typed: ``deploy hello 2.0.0 canary steps=20,50 reason="…"``."""
        words = ["deploy", self.app or "APP", self.version or "VERSION", self.strategy.value]
        if self.steps and self.strategy is Strategy.CANARY:
            words.append(f"steps={self.steps.replace(' ', '')}")
        if self.reason:
            words.append('reason="' + " ".join(self.reason.split()).replace('"', "'") + '"')
        return " ".join(words)
