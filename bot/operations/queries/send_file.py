"""A list too long for a message goes as a file to whoever asks for it: the question is asked once
more, for them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from bot.operations.access.roles import known_roles
from bot.operations.context import Context
from bot.operations.replies import Pending, Refusal, Reply, TableReply, TextReply
from bot.operations.requests import Click
from bot.policy.permissions import Permission, may
from bot.ports import Table

OFFERED_FOR_MS = 1_800_000
LONG_ROWS = 90
LONG_CHARACTERS = 8_000
"""A message holds 99 rows and 10,000 characters: what comes near that is offered whole."""


def offer_file(context: Context, query: Mapping[str, Any], tables: tuple[Table, ...]) -> str:
    """The token that the button carries, "" where the message holds everything."""
    rows = [row for table in tables for row in table.rows]
    if len(rows) <= LONG_ROWS and sum(len(cell) for row in rows for cell in row) <= LONG_CHARACTERS:
        return ""
    token = uuid.uuid4().hex
    context.store.put(f"file:{token}", json.dumps(query), ttl_ms=OFFERED_FOR_MS)
    return token


def ask_for_file(context: Context, click: Click, token: str) -> Reply:
    """Everyone who sees the list may have it."""
    if not may(known_roles(context, click.person), Permission.READ):
        return Refusal("that needs the role viewer", f"see `{context.names.typed('whoami')}`")
    stored = context.store.peek(f"file:{token}")
    if stored is None:
        return Refusal("that is too old: ask again")
    person = {"team": click.person.team, "user": click.person.user, "name": click.person.name}
    context.queue.ask(
        {
            **json.loads(stored),
            "as_file": True,
            "person": person,
            "in_channel": False,
            "response_url": click.response_url,
        }
    )
    return Pending()


def send_file(context: Context, query: Mapping[str, Any], reply: TableReply) -> Reply:
    """Raises SlackUnavailable, RateLimited, ChannelUnavailable."""
    title = ", ".join(table.title for table in reply.tables)[:200]
    name = "-".join(
        filter(
            None,
            (
                query["kind"],
                query.get("objects", ""),
                query["apps"][0] if len(query["apps"]) == 1 else "",
            ),
        )
    )
    context.messenger.upload(
        query["person"]["user"], f"{name}.txt", context.render.file(reply), title=title
    )
    return TextReply(
        f"{title}: the whole list is in your direct messages with this app, as {name}.txt"
    )
