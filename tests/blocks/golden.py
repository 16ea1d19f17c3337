"""A message as a person reads it, in plain text. ``python -m tests.blocks.golden`` rewrites
the goldens: review the difference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.ports import Message
from bot.slack.blocks.tables import rows_of
from tests.blocks.stories import messages

FOLDER = Path(__file__).parent / "golden"


def shown(message: Message) -> str:
    parts = [f"text: {message.text}".replace("\n", "\n      "), ""]
    for block in message.blocks:
        parts += _block(block)
    return "\n".join(parts).rstrip() + "\n"


def _rich(part: Mapping[str, Any]) -> list[str]:
    """What is preformatted stands apart; code and slanted words as Slack's markup writes them."""
    marks = {"code": "`", "italic": "_", "bold": "*"}
    texts = (
        (text["text"], next((marks[style] for style in text.get("style", ())), ""))
        for text in part["elements"]
    )
    whole = "".join(
        text.replace(text.strip(), f"{mark}{text.strip()}{mark}") for text, mark in texts
    )
    return [
        f"    {line}" if part["type"] == "rich_text_preformatted" else line
        for line in whole.split("\n")
    ]


def _block(block: Mapping[str, Any]) -> list[str]:
    match block["type"]:
        case "section":
            beside = [_button(block["accessory"])] if "accessory" in block else []
            return [*block["text"]["text"].split("\n"), *beside]
        case "context":
            return [
                f"  {line}" for element in block["elements"] for line in element["text"].split("\n")
            ]
        case "actions":
            return ["  ".join(_button(element) for element in block["elements"])]
        case "rich_text":
            return [line for part in block["elements"] for line in _rich(part)]
        case "table":
            return [" | ".join(row) for row in rows_of(block)]
        case "header":
            return [f"# {block['text']['text']}"]
        case "data_visualization":
            (series,) = block["chart"]["series"]
            points = ", ".join(f"{one['label']} {one['value']}" for one in series["data"])
            return [f"({block['title']}. {series['name']}: {points})"]
        case other:
            return [f"({other})"]


def _button(element: Mapping[str, Any]) -> str:
    if element["type"] == "static_select":
        return f"[{element['placeholder']['text']} ▾]"
    style = {"primary": "!", "danger": "!!"}.get(element.get("style", ""), "")
    return f"[{element['text']['text']}{style}{' (asks)' if 'confirm' in element else ''}]"


def file_of(name: str) -> Path:
    return FOLDER / f"{re.sub(r'[^a-z0-9]+', '-', name)}.txt"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, message in messages().items():
        file_of(name).write_text(shown(message), encoding="utf-8")
