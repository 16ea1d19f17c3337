"""The table of methods: each with its handler, the scopes it needs (any one of them) and
its rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.slack.errors import SlackError
from sandbox.slack.platform import Platform
from sandbox.slack.rate_limits import TIER_3, Rate

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    handler: Callable[[Platform, Json], Json]
    scopes: tuple[str, ...] = ()
    rate: Rate = TIER_3
    token: Literal["bot", "app"] = "bot"
    limited_by_channel: bool = False


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *scopes: str,
    rate: Rate = TIER_3,
    token: Literal["bot", "app"] = "bot",
    limited_by_channel: bool = False,
) -> Callable[[Callable[[Platform, Json], Json]], Callable[[Platform, Json], Json]]:
    def register(handler: Callable[[Platform, Json], Json]) -> Callable[[Platform, Json], Json]:
        METHODS[name] = Method(handler, scopes, rate, token, limited_by_channel)
        return handler

    return register


def required(arguments: Json, name: str) -> str:
    value = arguments.get(name)
    if value is None or value == "":
        raise SlackError("invalid_arguments", [f"[ERROR] missing required field: {name}"])
    return str(value)


def flag(arguments: Json, name: str) -> bool:
    """Forms carry booleans as 1, 0, true or false."""
    return arguments.get(name) in (True, 1, "1", "true", "True")


def number(arguments: Json, name: str, default: int, most: int) -> int:
    value = arguments.get(name)
    if value in (None, ""):
        return default
    try:
        return max(1, min(most, int(str(value))))
    except ValueError:
        raise SlackError("invalid_limit") from None


def page(items: list[Json], arguments: Json, key: str, default: int = 100) -> Json:
    """Slack's cursor pagination; the cursor is the position of the next page."""
    limit = number(arguments, "limit", default, 1000)
    cursor = str(arguments.get("cursor") or "")
    if cursor and not (cursor.startswith("next:") and cursor[5:].isdigit()):
        raise SlackError("invalid_cursor")
    start = int(cursor[5:]) if cursor else 0
    following = f"next:{start + limit}" if start + limit < len(items) else ""
    return {key: items[start : start + limit], "response_metadata": {"next_cursor": following}}
