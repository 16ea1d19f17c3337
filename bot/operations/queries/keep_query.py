"""A query behind a button, kept in the store under a token, so that the button can repeat it."""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

from bot.operations.context import Context
from bot.query import Query, UnknownQuery, dump_query, load_query
from bot.releases.facts.people import Person

KEPT_MS = 1_800_000  # as long as Slack takes a reply to the click
Shelf: TypeAlias = Literal["share", "file", "confirm"]


class OfSomeoneElse(Exception):
    """Only the person who asked may take the query."""


def keep_query(context: Context, shelf: Shelf, query: Query, *, for_ms: int = KEPT_MS) -> str:
    """Returns the token that the button carries."""
    token = context.runtime.new_id()
    context.store.put(f"{shelf}:{token}", json.dumps(dump_query(query)), ttl_ms=for_ms)
    return token


def peek_query(context: Context, shelf: Shelf, token: str) -> Query | None:
    """None when it expired or another version of Pilothouse wrote it."""
    return _loaded(context.store.peek(f"{shelf}:{token}"))


def take_query(
    context: Context, shelf: Shelf, token: str, by: Person, *, for_ms: int = KEPT_MS
) -> Query | None:
    """None on the second of two clicks, and where ``peek_query`` returns None. Raises
    OfSomeoneElse; the query then stays for the person who asked."""
    key = f"{shelf}:{token}"
    stored = context.store.take(key)
    query = _loaded(stored)
    if stored is None or query is None:
        return None
    if query.asker != by:
        context.store.put(key, stored, ttl_ms=for_ms)
        raise OfSomeoneElse
    return query


def _loaded(stored: str | None) -> Query | None:
    try:
        return load_query(stored) if stored is not None else None
    except UnknownQuery:
        return None
