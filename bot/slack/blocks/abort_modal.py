"""The form that Abort opens where versions wait behind the release: what becomes of them? Where
none waits any more it asks about the abort alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bot.releases.facts.release import Release
from bot.slack.blocks.buttons import abort_title, restored
from bot.slack.blocks.elements import Block, answered, question, section
from bot.slack.markup import code, plain

ABORT_CALLBACK = "abort"
NAMED = 5
_BLOCK, _ACTION = "queue", "abort_queue"
Then = Literal["hold", "start"]


def abort_modal(
    release: Release, waiting: Sequence[Release], carried: Mapping[str, str]
) -> Mapping[str, Any]:
    blocks = [
        section(f"*{plain(abort_title(release), 300)}*\n{restored(release)}{_waits(waiting)}")
    ]
    if waiting:
        blocks.append(_choice(waiting))
    return question(ABORT_CALLBACK, "Abort", carried, blocks)


def _waits(waiting: Sequence[Release]) -> str:
    if not waiting:
        return ""
    names = ", ".join(f"{plain(one.to_version, 60)} ({code(one.id)})" for one in waiting[:NAMED])
    more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
    return f"\n{names}{more} {'waits' if len(waiting) == 1 else 'wait'}."


def _choice(waiting: Sequence[Release]) -> Block:
    options = [
        _option("hold", "Abort and hold the queue"),
        _option("start", f"Abort and start {waiting[0].to_version}"),
    ]
    return {
        "type": "input",
        "block_id": _BLOCK,
        "label": {"type": "plain_text", "text": "And the queue?"},
        "element": {
            "type": "radio_buttons",
            "action_id": _ACTION,
            "options": options,
            "initial_option": options[0],
        },
    }


def _option(value: Then, text: str) -> Block:
    return {"text": {"type": "plain_text", "text": text[:75]}, "value": value}


def read_choice(view: Mapping[str, Any]) -> tuple[Then, Mapping[str, str]]:
    """(what becomes of the queue, what was carried). The careful one where none is given."""
    given, carried = answered(view, _BLOCK, _ACTION)
    chosen = (given.get("selected_option") or {}).get("value")
    return "start" if chosen == "start" else "hold", carried
