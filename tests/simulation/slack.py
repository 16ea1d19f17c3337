"""A simulated Slack behind the Messenger port: what each channel shows now, and every message that
was ever sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.ports import Message, MessageGone
from bot.slack.blocks.buttons import ACTION_PREFIX

SHOWS = ACTION_PREFIX + "show:"


@dataclass
class Shown:
    """A message as it reads now."""

    channel: str
    ts: str
    message: Message
    thread_ts: str = ""
    posted_at: int = 0

    @property
    def key(self) -> str:
        payload = (self.message.metadata or {}).get("event_payload", {})
        return str(payload.get("key", ""))

    def buttons(self) -> Iterator[tuple[str, str]]:
        """(action, value) of each that changes something, in order."""
        for block in self.message.blocks:
            for element in (*block.get("elements", ()), block.get("accessory", {})):
                action = str(element.get("action_id", ""))
                if element.get("type") == "button" and not action.startswith(SHOWS):
                    yield action, str(element.get("value", ""))


@dataclass
class SimulatedSlack:
    clock: Callable[[], int]
    messages: dict[tuple[str, str], Shown] = field(default_factory=dict)
    private: list[tuple[str, str]] = field(default_factory=list)  # (whom, text)
    _sent: int = 0

    def post(
        self, channel: str, message: Message, *, thread_ts: str = "", broadcast: bool = False
    ) -> str:
        self._sent += 1
        ts = f"{self.clock() // 1000}.{self._sent:06d}"
        self.messages[channel, ts] = Shown(channel, ts, message, thread_ts, self.clock())
        return ts

    def edit(self, channel: str, ts: str, message: Message) -> None:
        shown = self.messages.get((channel, ts))
        if shown is None:
            raise MessageGone(ts)
        shown.message = message

    def post_privately(
        self, channel: str, user: str, message: Message, *, thread_ts: str = ""
    ) -> None:
        self.private.append((user, message.text))

    def respond(
        self,
        response_url: str,
        message: Message,
        *,
        in_channel: bool = False,
        replace: bool = False,
    ) -> None:
        self.private.append((response_url, message.text))

    def direct(self, user: str, message: Message) -> str:
        self.private.append((user, message.text))
        return f"{self.clock() // 1000}.{len(self.private):06d}"

    def upload(self, user: str, filename: str, content: str, *, title: str) -> None:
        self.private.append((user, content))

    def find_posted(self, channel: str, *, key: str, thread_ts: str = "") -> str:
        for shown in self.messages.values():
            if (shown.channel, shown.key) == (channel, key) and shown.thread_ts == thread_ts:
                return shown.ts
        return ""

    def permalink(self, channel: str, ts: str) -> str:
        return f"https://slack.example/{channel}/{ts}"

    def why_not_in(self, channel: str) -> Literal["", "not a member", "archived", "unknown"]:
        return ""

    def update_view(self, view_id: str, seen_hash: str, view: Mapping[str, Any]) -> str:
        return "1"

    def publish_home(self, user: str, view: Mapping[str, Any]) -> None: ...
