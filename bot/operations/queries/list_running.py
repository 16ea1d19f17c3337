"""What runs, for one person: a reply to "what is running" in a direct message."""

from __future__ import annotations

from bot.operations.access.refuse import refuse_reader
from bot.operations.access.visibility import visible_to
from bot.operations.context import Context
from bot.operations.replies import ListingReply, Refusal, Reply, TextReply
from bot.ports import SlackUnavailable, StoreUnavailable
from bot.releases.facts.people import Person


def list_running(context: Context, person: Person) -> Reply:
    try:
        if refusal := refuse_reader(context, person):
            return refusal
        visible = visible_to(context, person)
        running = tuple(one for one in context.store.active() if visible.covers_release(one))
    except (SlackUnavailable, StoreUnavailable) as away:
        return Refusal(str(away), "Try again in a moment.")
    if not running:
        return TextReply("Nothing is running in your channels.")
    return ListingReply("Running in your channels", running)
