"""The settings of the local Slack."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

BOT_SCOPES: frozenset[str] = frozenset(
    {
        "app_mentions:read",
        "channels:history",
        "channels:join",
        "channels:read",
        "chat:write",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "reactions:write",
        "team:read",
        "usergroups:read",
        "users:read",
        "users:read.email",
    }
)


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """Secrets belong to one sandbox: made-up values, never a real workspace's."""

    bot_url: str | None = None
    signing_secret: str = "local-signing-secret"
    bot_token: str = "xoxb-local"
    app_token: str = "xapp-local"
    verification_token: str = "local-verification-token"
    app_name: str = "Pilothouse"
    app_id: str = "A0LOCAL"
    bot_user_id: str = "U0BOT"
    bot_id: str = "B0BOT"
    team_id: str = "T0LOCAL"
    team_name: str = "Local workspace"
    team_domain: str = "local"
    scopes: frozenset[str] = BOT_SCOPES
    rate_scale: float = 1.0
    """1 enforces Slack's published rates, 2 allows twice as much, 0 switches rate limits off."""
    ack_seconds: float = 3.0
    trigger_seconds: float = 3.0
    response_url_seconds: float = 1800.0
    response_url_uses: int = 5
    event_retry_seconds: tuple[float, ...] = (0.0, 60.0, 300.0)
    """Waits before the three retries of an event."""
    first_commands: tuple[str, ...] = ("/deploy hello 2.0.0", "/pods hello", "/help")
    log_size: int = 20_000
    crowd: int = 0
    """That many more people are in the workspace: U0CROWD0, U0CROWD1 and so on."""
    clock: Callable[[], float] = field(default=time.time)
    """Unix seconds; tests give one they can move."""
