"""The inspector's log of the app's calls and of payloads sent to it, with sizes beside Slack's
limits."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from sandbox.slack.block_rules import MAX_MESSAGE_BLOCKS, MAX_TEXT, MAX_VIEW_BLOCKS
from sandbox.slack.stream import Stream

Json = dict[str, Any]


class Journal:
    def __init__(self, size: int, stream: Stream) -> None:
        self._entries: deque[Json] = deque(maxlen=size)
        self._stream = stream
        self._next = 1

    def add(self, entry: Json) -> Json:
        """`entry` has kind ("call", "delivery" or "response_url"), at, name, duration_ms and what
        went over the wire."""
        numbered = {"id": self._next, **entry}
        self._next += 1
        self._entries.append(numbered)
        self._stream.publish("log", numbered)
        return numbered

    def entries(
        self, after: int = 0, kind: str | None = None, name: str | None = None
    ) -> list[Json]:
        return [
            entry
            for entry in self._entries
            if entry["id"] > after
            and kind in (None, entry["kind"])
            and name in (None, entry["name"])
        ]

    def clear(self) -> None:
        self._entries.clear()


def measure(arguments: Json) -> list[Json]:
    """Every limited measure of a call, with its size and Slack's limit."""
    found: list[Json] = []
    text = arguments.get("text")
    if isinstance(text, str):
        found.append({"what": "text", "size": len(text), "limit": MAX_TEXT})
    blocks = arguments.get("blocks")
    limit = MAX_MESSAGE_BLOCKS
    view = arguments.get("view")
    if isinstance(view, dict):
        blocks, limit = view.get("blocks"), MAX_VIEW_BLOCKS
    if isinstance(blocks, list):
        found.append({"what": "blocks", "size": len(blocks), "limit": limit})
        longest = max((_longest_text(block) for block in blocks), default=0)
        found.append({"what": "longest text object", "size": longest, "limit": 3000})
        found.append({"what": "bytes of blocks", "size": len(json.dumps(blocks)), "limit": None})
    return found


def _longest_text(value: Any) -> int:
    if isinstance(value, list):
        return max((_longest_text(item) for item in value), default=0)
    if isinstance(value, dict):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return max([own, *(_longest_text(item) for item in value.values())])
    return 0
