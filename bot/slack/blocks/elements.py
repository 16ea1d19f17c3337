"""The few blocks that every client draws, within Slack's limits, and the form of a question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from bot.slack.markup import cut, escaped, units, with_clocks, with_dates

Block: TypeAlias = Mapping[str, Any]
MAX_BLOCKS = 50
MAX_SECTION = 3_000
MAX_TEXT = 3_500
"""Slack takes 40,000 characters of top-level text and advises 4,000."""
MAX_BUTTON = 75
MAX_VALUE = 2_000


def section(text: str, **more: Any) -> Block:
    """``text`` is escaped mrkdwn; its moments are shown in each reader's zone. Lines that do not
    fit are left out whole, so that no markup is cut in two."""
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": fitting(with_dates(text), MAX_SECTION)},
        **more,
    }


def context(*texts: str) -> Block:
    return {
        "type": "context",
        "elements": [
            {"type": "mrkdwn", "text": fitting(with_dates(text), MAX_SECTION)}
            for text in texts[:10]
        ],
    }


def header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": cut(text, 150) or "-"}}


def divider() -> Block:
    return {"type": "divider"}


def actions(buttons: Iterable[Block], block_id: str = "") -> Block:
    block: dict[str, Any] = {"type": "actions", "elements": list(buttons)[:25]}
    return {**block, "block_id": block_id} if block_id else block


def preformatted(text: str) -> Block:
    """Fixed-width text, in which Slack reads no markup."""
    content = [{"type": "text", "text": cut(text, MAX_SECTION) or " "}]
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_preformatted", "elements": content}],
    }


def button(
    label: str,
    action: str,
    value: Mapping[str, str],
    *,
    style: str = "",
    confirm: tuple[str, str, str] | None = None,
) -> Block:
    """``value`` names a release, gate and plan, never a command. ``confirm``: title, text and the
    label of the button that confirms."""
    result: dict[str, Any] = {
        "type": "button",
        "action_id": action,
        "text": {"type": "plain_text", "text": cut(label, MAX_BUTTON)},
        "value": json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    }
    if units(result["value"]) > MAX_VALUE:
        raise ValueError("a button's value is too long")
    if style:
        result["style"] = style
    if confirm:
        title, text, confirm_label = confirm
        result["confirm"] = {
            "title": {"type": "plain_text", "text": escaped(title, 100)},
            "text": {"type": "plain_text", "text": escaped(text, 300)},
            "confirm": {"type": "plain_text", "text": cut(confirm_label, 30)},
            "deny": {"type": "plain_text", "text": "Not now"},
            **({"style": "danger"} if style == "danger" else {}),
        }
    return result


def menu(hint: str, action: str, options: Iterable[tuple[str, str]]) -> Block:
    """``options``: (text, value)."""
    shown = [
        {"text": {"type": "plain_text", "text": cut(text, MAX_BUTTON)}, "value": value}
        for text, value in options
    ]
    return {
        "type": "static_select",
        "action_id": action,
        "placeholder": {"type": "plain_text", "text": hint},
        "options": shown[:100],
    }


def fitting(text: str, limit: int) -> str:
    """Whole lines up to the limit; the first line is cut when it alone is too long."""
    if units(text) <= limit:
        return text or "-"
    kept: list[str] = []
    left = limit - 2
    for line in text.split("\n"):
        left -= units(line) + 1
        if left < 0:
            break
        kept.append(line)
    return "\n".join([*kept, "…"]) if kept else cut(text.split("\n")[0], limit)


def top_text(lines: Iterable[str]) -> str:
    """The text that notifications and screen readers read."""
    return fitting(with_clocks("\n".join(line for line in lines if line)), MAX_TEXT)


def question(
    callback: str, verb: str, carried: Mapping[str, str], blocks: Sequence[Block]
) -> Mapping[str, Any]:
    """The form that a button opens before it acts. ``carried`` comes back with it: what the button
    was bound to, and where to reply."""
    return {
        "type": "modal",
        "callback_id": callback,
        "title": {"type": "plain_text", "text": verb},
        "submit": {"type": "plain_text", "text": verb},
        "close": {"type": "plain_text", "text": "Not now"},
        "private_metadata": orjson.dumps(dict(carried)).decode(),
        "blocks": [*blocks],
    }


def answered(
    view: Mapping[str, Any], block: str, action: str
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """(what was entered there, {} for nothing; what was carried)."""
    entered = view.get("state", {}).get("values", {}).get(block, {}).get(action) or {}
    carried: Mapping[str, str] = orjson.loads(view.get("private_metadata") or "{}")
    return entered, carried
