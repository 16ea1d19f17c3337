"""What a person finds to press on the cards of a channel. Belongs here: reading messages as Slack
keeps them; not: pressing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Json = dict[str, Any]


def offered(messages: Iterable[Json], labels: Sequence[str]) -> Iterator[tuple[Json, Json]]:
    """(message, button): of each message the button with the earliest of these labels; with the id
    of its block, as a click needs it."""
    for message in messages:
        by_label = {
            element["text"]["text"]: {**element, "block_id": block.get("block_id")}
            for block in message.get("blocks", [])
            if block.get("type") == "actions"
            for element in block.get("elements", [])
            if element.get("type") == "button"
        }
        label = next((one for one in labels if one in by_label), None)
        if label is not None:
            yield message, by_label[label]


def release_of(button: Json) -> str:
    """ "" for a button of no release."""
    found = re.search(r'"release": ?"([^"]+)"', str(button.get("value", "")))
    return found[1] if found else ""
