"""A list too long for a message goes as a file to the person who asks for it: their query runs
again."""

from __future__ import annotations

from dataclasses import replace

from bot.commands.model import GetCommand
from bot.operations.access.refuse import refuse
from bot.operations.context import Context
from bot.operations.queries.keep_query import keep_query, peek_query
from bot.operations.replies import Pending, Refusal, Reply, TableReply, TextReply
from bot.operations.requests import Click
from bot.policy.decision import READING
from bot.ports import Table
from bot.query import Query

LONG_ROWS = 90
LONG_CHARACTERS = 8_000
"""A message holds 99 rows and 10,000 characters: a list near that is also offered as a file."""


def offer_file(context: Context, query: Query, tables: tuple[Table, ...]) -> str:
    """The token that the button carries, "" where the message shows everything."""
    rows = [row for table in tables for row in table.rows]
    if len(rows) <= LONG_ROWS and sum(len(cell) for row in rows for cell in row) <= LONG_CHARACTERS:
        return ""
    return keep_query(context, "file", query)


def ask_for_file(context: Context, click: Click, token: str) -> Reply:
    """Everyone who sees the list may have the file."""
    if refusal := refuse(context, click.person, READING):
        return refusal
    query = peek_query(context, "file", token)
    if query is None:
        return Refusal("That is too old.", "Ask again.")
    alone = replace(query.reply_to, in_channel=False, response_url=click.response_url)
    context.queue.ask(replace(query, asker=click.person, reply_to=alone, purpose="file"))
    return Pending()


def send_file(context: Context, query: Query, reply: TableReply) -> Reply:
    """Raises SlackUnavailable, RateLimited, ChannelUnavailable."""
    title = ", ".join(table.title for table in reply.tables)[:200]
    parts = (
        query.command.kind,
        query.command.objects if isinstance(query.command, GetCommand) else "",
        query.apps[0] if len(query.apps) == 1 else "",
    )
    name = "-".join(filter(None, parts))
    context.messenger.upload(
        query.asker.user, f"{name}.txt", context.render.file(reply), title=title
    )
    return TextReply(
        f"{title}: the whole list is in your direct messages with this app, as {name}.txt"
    )
