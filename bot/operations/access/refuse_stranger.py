"""Shared channels hold people of other workspaces: roles are granted to this workspace's people
alone."""

from __future__ import annotations

from bot.operations.context import Context
from bot.operations.replies import Refusal
from bot.ports import SlackUnavailable
from bot.releases.facts.people import Person


def refuse_stranger(context: Context, person: Person) -> Refusal | None:
    """While it is not known whose workspace this is, nobody is believed: a stranger's user id must
    never meet a role."""
    try:
        home = context.directory.home_team()
    except SlackUnavailable:
        return Refusal(
            "Slack does not say which workspace this app belongs to",
            "nothing was started: try again in a moment",
        )
    if person.team in ("", home):
        return None
    return Refusal(
        "Pilothouse takes commands only from people of its own workspace",
        "ask somebody of that workspace to do it with you",
    )
