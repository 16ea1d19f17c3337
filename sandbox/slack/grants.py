"""The two short-lived permissions Slack gives an app: trigger ids (open a modal) and response URLs
(reply later)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sandbox.slack.errors import SlackError
from sandbox.slack.settings import SlackSettings


@dataclass(slots=True)
class Trigger:
    user_id: str
    until: float
    is_used: bool = False
    view_id: str | None = None
    """The modal it came from, for `views.push`."""


@dataclass(slots=True)
class ResponseUrl:
    user_id: str
    channel_id: str
    until: float
    uses_left: int
    message_ts: str | None = None
    """The message that the click was in; None for a slash command."""
    thread_ts: str | None = None


class Grants:
    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings
        self._triggers: dict[str, Trigger] = {}
        self._response_urls: dict[str, ResponseUrl] = {}

    def trigger(self, user_id: str, view_id: str | None = None) -> str:
        trigger_id = (
            f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        )
        self._triggers[trigger_id] = Trigger(
            user_id, self._settings.clock() + self._settings.trigger_seconds, view_id=view_id
        )
        self._forget_old()
        return trigger_id

    def use_trigger(self, trigger_id: str) -> Trigger:
        """Single use. Raises the errors that views.open and views.push return."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.is_used:
            raise SlackError("exchanged_trigger_id")
        if self._settings.clock() > trigger.until:
            raise SlackError("expired_trigger_id")
        trigger.is_used = True
        return trigger

    def response_url(
        self,
        user_id: str,
        channel_id: str,
        message_ts: str | None = None,
        thread_ts: str | None = None,
    ) -> str:
        """The path of a new URL."""
        key = secrets.token_hex(12)
        until = self._settings.clock() + self._settings.response_url_seconds
        self._response_urls[key] = ResponseUrl(
            user_id, channel_id, until, self._settings.response_url_uses, message_ts, thread_ts
        )
        return f"/actions/{self._settings.team_id}/{key}"

    def use_response_url(self, key: str) -> ResponseUrl:
        grant = self._response_urls.get(key)
        if grant is None or self._settings.clock() > grant.until:
            raise SlackError("expired_url")
        if grant.uses_left <= 0:
            raise SlackError("used_url")
        grant.uses_left -= 1
        return grant

    def _forget_old(self) -> None:
        if len(self._triggers) > 5_000:
            horizon = self._settings.clock() - 60.0
            self._triggers = {
                key: trigger for key, trigger in self._triggers.items() if trigger.until > horizon
            }
            self._response_urls = {
                key: grant
                for key, grant in self._response_urls.items()
                if grant.until > self._settings.clock()
            }
