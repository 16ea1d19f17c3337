"""An installed app manifest: its slash commands, their hints and the events the app gets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import yaml

DEFAULT_EVENTS = frozenset({"app_mention", "app_home_opened", "message.im"})


@dataclass(frozen=True, slots=True)
class SlashCommand:
    command: str
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    commands: dict[str, SlashCommand] = field(default_factory=dict)
    events: frozenset[str] = DEFAULT_EVENTS
    scopes: frozenset[str] | None = None
    name: str | None = None
    is_installed: bool = False

    def knows(self, command: str) -> bool:
        """Without a manifest, every command is accepted, so that a small test needs none."""
        return not self.is_installed or command in self.commands


def read_manifest(source: str | dict[str, Any]) -> Manifest:
    """From YAML, JSON or an object. Raises ValueError that names the mistake."""
    document = yaml.safe_load(source) if isinstance(source, str) else source
    if not isinstance(document, dict) or "features" not in document:
        raise ValueError("a Slack app manifest is an object with `features`")
    commands: dict[str, SlashCommand] = {}
    for item in document["features"].get("slash_commands") or []:
        name = str(item.get("command", ""))
        if not name.startswith("/") or " " in name or len(name) > 32:
            raise ValueError(
                f"slash_commands: {json.dumps(name)} must be one word of at most 32 characters"
                " after /"
            )
        if not item.get("description"):
            raise ValueError(f"slash_commands: {name} has no description")
        commands[name] = SlashCommand(
            name,
            str(item["description"]),
            str(item.get("usage_hint", "")),
            bool(item.get("should_escape", False)),
        )
    subscribed = ((document.get("settings") or {}).get("event_subscriptions") or {}).get(
        "bot_events"
    )
    scopes = ((document.get("oauth_config") or {}).get("scopes") or {}).get("bot")
    return Manifest(
        commands=commands,
        events=frozenset(subscribed) if subscribed is not None else DEFAULT_EVENTS,
        scopes=frozenset(scopes) if scopes else None,
        name=(document.get("display_information") or {}).get("name"),
        is_installed=True,
    )
