"""Buttons on the cards of a channel: finding one among its messages, and pressing it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # the tour drives a sandbox in another process and imports nothing of it
    from sandbox.slack import LocalSlack

Json = dict[str, Any]


class Offer(NamedTuple):
    """``button`` carries the id of its block, as a click needs it."""

    message: Json
    button: Json


def offered(messages: Iterable[Json], labels: Sequence[str]) -> Iterator[Offer]:
    """Of each message the button with the earliest of these labels."""
    for message in messages:
        by_label = {
            element["text"]["text"]: {**element, "block_id": block.get("block_id")}
            for block in message.get("blocks", [])
            for element in _pressable(block)
            if element.get("type") == "button"
        }
        label = next((one for one in labels if one in by_label), None)
        if label is not None:
            yield Offer(message, by_label[label])


def _pressable(block: Json) -> list[Json]:
    if block.get("type") == "actions":
        return list(block.get("elements", []))
    return [block["accessory"]] if "accessory" in block else []


def newest_offer(messages: Sequence[Json], label: str, *, unlike: str = "") -> Offer | None:
    """``messages`` come oldest first; a button that carries the value ``unlike`` does not count."""
    fresh = (
        offer
        for offer in offered(reversed(messages), (label,))
        if not unlike or offer.button.get("value") != unlike
    )
    return next(fresh, None)


def press(slack: LocalSlack, user: str, channel: str, offer: Offer) -> Json:
    """Returns Slack's answer; ``ok`` is false when the card was redrawn meanwhile."""
    message, button = offer
    answer: Json = slack.click(
        user,
        channel,
        message["ts"],
        button["action_id"],
        value=button.get("value"),
        block_id=button["block_id"],
    )
    return answer


def release_of(button: Json) -> str:
    """ "" for a button of no release."""
    found = re.search(r'"release": ?"([^"]+)"', str(button.get("value", "")))
    return found[1] if found else ""
