"""A reply that one person saw goes to the channel: the query runs again, so that the channel sees
the present state."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.access.refuse import refuse
from bot.operations.context import Context
from bot.operations.queries.keep_query import OfSomeoneElse, keep_query, take_query
from bot.operations.replies import Pending, Refusal, Reply
from bot.operations.requests import Click
from bot.policy.decision import READING
from bot.query import Query


def offer_to_share(context: Context, query: Query) -> str:
    """The token that the button "Share here" carries."""
    return keep_query(context, "share", query)


def share_answer(context: Context, click: Click, token: str) -> Reply:
    """The second of two clicks finds nothing left to take."""
    if refusal := refuse(context, click.person, READING):
        return refusal
    try:
        query = take_query(context, "share", token, click.person)
    except OfSomeoneElse:
        return Refusal("Only the person who asked may share the reply.")
    if query is None:
        return Refusal("That was shared already, or is too old.", "Ask again.")
    in_thread = bool(query.reply_to.thread_ts)  # a response_url ignores threads
    way_back = replace(
        query.reply_to, in_channel=True, response_url="" if in_thread else click.response_url
    )
    context.queue.ask(replace(query, reply_to=way_back, purpose="share"))
    return Pending()
