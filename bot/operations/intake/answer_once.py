"""A request has one effect, however often it arrives: Slack delivers events again, people click
twice, and signed bytes can be sent again. Each gets the first reply."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bot.commands.model import Suggestion
from bot.operations.context import Context
from bot.operations.replies import Pending, Receipt, Refusal, Reply, TextReply
from bot.ports import StoreUnavailable

KEPT_MS = 86_400_000
CLAIMED_MS = 30_000
"""Far longer than any request takes before its reply: a bot that died holds up no redelivery."""
_CLAIMED = "carrying out "
MAY_BE_TAKEN = (
    "It may have been taken before that: then a card or a reply follows within a minute. It will"
    " not start later; sent again, it starts once."
)
IN_PROGRESS = Refusal(
    "That is already being carried out.", "If nothing has happened in a minute, send it again."
)


def answer_once(
    context: Context, request: str, answer: Callable[[], Reply], *, keeps_refusals: bool = True
) -> Reply:
    """``request`` is the request's own id, "" where it has none. A form stays open after a refusal
    and is submitted again under the same id, so its refusals are not kept. Raises
    StoreUnavailable."""
    if not request:
        return answer()
    key, claim = f"answer:{request}", _CLAIMED + context.runtime.new_id()
    if not context.store.put_new(key, claim, ttl_ms=CLAIMED_MS):
        return _first_reply(context, key)
    reply = answer()
    document = _dump(reply)
    if document is None or (isinstance(reply, Refusal) and not keeps_refusals):
        context.store.take(key)
        return reply
    try:
        context.store.put(key, json.dumps(document), ttl_ms=KEPT_MS)
    except StoreUnavailable:
        pass  # the request took effect, and its reply says so
    return reply


def _first_reply(context: Context, key: str) -> Reply:
    kept = context.store.peek(key)
    if kept is None or kept.startswith(_CLAIMED):
        return IN_PROGRESS
    return _load(context, json.loads(kept))


def _dump(reply: Reply) -> dict[str, Any] | None:
    """None for replies of what changes nothing, such as an opened form."""
    match reply:
        case Receipt():
            return {
                "kind": reply.kind,
                "release": reply.release.id,
                "fresh": reply.fresh,
                "behind": reply.behind,
                "elsewhere": reply.elsewhere,
                "card": reply.card,
            }
        case TextReply() | Refusal() | Pending():
            return asdict(reply)
        case _:
            return None


def _load(context: Context, document: dict[str, Any]) -> Reply:
    fields = {name: value for name, value in document.items() if name != "kind"}
    match document["kind"]:
        case "receipt":
            try:
                release = context.store.load(fields["release"])
            except KeyError:
                return Refusal(f"There is no release {fields['release']} any more.")
            return Receipt(**{**fields, "release": release})
        case "text":
            return TextReply(**fields)
        case "refusal":
            instead = tuple(Suggestion(**one) for one in fields["instead"])
            who = tuple(fields.get("who", ()))
            return Refusal(**{**fields, "instead": instead, "who": who})
        case _:
            return Pending()
