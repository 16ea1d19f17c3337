"""The Messenger port, recording what the bot sends. ``refusals`` are raised first, one per call;
``refusals_in`` those of a channel or a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.ports import Message


@dataclass(frozen=True)
class Sent:
    how: str
    where: str
    message: Message
    thread_ts: str = ""


@dataclass
class RecordingMessenger:
    sent: list[Sent] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    refusals_in: dict[str, list[Exception]] = field(default_factory=dict)

    def _send(self, how: str, where: str, message: Message, thread_ts: str = "") -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        if self.refusals_in.get(where):
            raise self.refusals_in[where].pop(0)
        self.sent.append(Sent(how, where, message, thread_ts))
        return f"{len(self.sent)}.0"

    def post(
        self, channel: str, message: Message, *, thread_ts: str = "", broadcast: bool = False
    ) -> str:
        return self._send("post", channel, message, thread_ts)

    def edit(self, channel: str, ts: str, message: Message) -> None:
        self._send("edit", channel, message, ts)

    def post_privately(
        self, channel: str, user: str, message: Message, *, thread_ts: str = ""
    ) -> None:
        self._send("post_privately", user, message, thread_ts)

    def respond(
        self,
        response_url: str,
        message: Message,
        *,
        in_channel: bool = False,
        replace: bool = False,
    ) -> None:
        self._send("respond", response_url, message)

    def direct(self, user: str, message: Message) -> str:
        return self._send("direct", user, message)

    def upload(self, user: str, filename: str, content: str, *, title: str) -> None:
        self._send("upload", user, Message(content))

    def find_posted(self, channel: str, *, key: str, thread_ts: str = "") -> str:
        for number, one in enumerate(self.sent, start=1):
            payload: Mapping[str, Any] = (one.message.metadata or {}).get("event_payload", {})
            if one.where == channel and payload.get("key") == key:
                return f"{number}.0"
        return ""

    def permalink(self, channel: str, ts: str) -> str:
        return f"https://example.invalid/{channel}/{ts}"

    def why_not_in(self, channel: str) -> Literal["", "not a member", "archived", "unknown"]:
        return ""

    def update_view(self, view_id: str, seen_hash: str, view: Mapping[str, Any]) -> str:
        return self._send("form", view_id, Message(str(view)))

    def publish_home(self, user: str, view: Mapping[str, Any]) -> None:
        self._send("home", user, Message(str(view)))
