"""The forms that Reject, and Finish of a fleet, open: a reason, for the card and the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.releases.facts.release import Release
from bot.slack.blocks.buttons import restored
from bot.slack.blocks.elements import Block, answered, question, section
from bot.slack.markup import code, plain

REJECT_CALLBACK, FINISH_CALLBACK = "reject", "finish"
MAX_REASON = 300
_BLOCK, _ACTION = "reason", "reject_reason"


def reject_modal(release: Release, carried: Mapping[str, str]) -> Mapping[str, Any]:
    effect = restored(release) if release.started_at else "Nothing has changed yet."
    stays = (
        f"{release.target.label} stays on {release.from_version}" if release.from_version else ""
    )
    title = f"Reject {release.to_version}" + (f": {stays}" if stays else "")
    head = section(f"*{plain(title, 300)}* ({code(release.id)})\n{effect}")
    return question(REJECT_CALLBACK, "Reject", carried, [head, _reason(optional=True)])


def finish_modal(release: Release, carried: Mapping[str, str]) -> Mapping[str, Any]:
    """Of a fleet, which people will ask about: the reason is needed."""
    head = section(
        f"*Leave {plain(release.target.label)} as it is* ({code(release.id)})\n"
        "What is done stays, and no other cluster begins."
    )
    return question(FINISH_CALLBACK, "Finish", carried, [head, _reason(optional=False)])


def _reason(*, optional: bool) -> Block:
    return {
        "type": "input",
        "block_id": _BLOCK,
        "label": {"type": "plain_text", "text": "Reason"},
        "optional": optional,
        "element": {
            "type": "plain_text_input",
            "action_id": _ACTION,
            "max_length": MAX_REASON,
            "focus_on_load": True,
        },
    }


def read_reason(view: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    """(the reason on one line, what was carried)."""
    typed, carried = answered(view, _BLOCK, _ACTION)
    return " ".join(str(typed.get("value") or "").split()), carried
