"""An answer that one person saw is given to the channel: the question is asked once more, so that
nothing said is out of date."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from bot.operations.context import Context
from bot.operations.replies import Pending, Refusal, Reply
from bot.operations.requests import Click

SHARED_WITHIN_MS = 1_800_000  # as long as Slack takes answers to the click


def offer_to_share(context: Context, query: Mapping[str, Any]) -> str:
    """The token that the button "Share here" carries."""
    token = uuid.uuid4().hex
    context.store.put(f"share:{token}", json.dumps(query), ttl_ms=SHARED_WITHIN_MS)
    return token


def share_answer(context: Context, click: Click, token: str) -> Reply:
    """The second of two clicks finds nothing left to take."""
    stored = context.store.take(f"share:{token}")
    if stored is None:
        return Refusal("that was shared already, or is too old: ask again")
    query = json.loads(stored)
    if query["person"]["user"] != click.person.user or query["person"]["team"] != click.person.team:
        context.store.put(f"share:{token}", stored, ttl_ms=SHARED_WITHIN_MS)
        return Refusal("only the one who asked may share the answer")
    way_back = "" if query["thread_ts"] else click.response_url  # a response_url knows no thread
    context.queue.ask({**query, "in_channel": True, "shared": True, "response_url": way_back})
    return Pending()
