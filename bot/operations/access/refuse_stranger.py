"""Shared channels hold people of other workspaces; only people of this one have roles."""

from __future__ import annotations

from bot.operations.access.roles import home_team
from bot.operations.context import Context
from bot.operations.replies import Refusal
from bot.ports import SlackUnavailable
from bot.releases.facts.people import Person


def refuse_stranger(context: Context, person: Person) -> Refusal | None:
    """While the workspace is unknown, everyone is refused: a stranger's user id must never match a
    role."""
    try:
        home = home_team(context)
    except SlackUnavailable:
        return Refusal(
            "Slack does not say which workspace this app belongs to.",
            "Nothing was started: try again in a moment.",
        )
    if not person.team or not person.user:
        return Refusal(
            "Slack did not say which workspace you belong to.",
            "Nothing was started: try again from a channel of this workspace.",
        )
    if person.team == home:
        return None
    return Refusal(
        "Pilothouse takes commands only from people of its own workspace.",
        "Ask someone of that workspace to do it with you.",
    )
