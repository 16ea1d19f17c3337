"""Messages of their own that ask for something or say what is being done about it. They stand in
the channel, so they are edited once that is over."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from bot.operations.context import Context
from bot.operations.delivery.edit_message import edit_message
from bot.operations.delivery.post_once import keyed
from bot.ports import ChannelUnavailable, Message, MessageGone
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release

KEPT_MS = 30 * 86_400_000


@dataclass(frozen=True)
class Address:
    """Where a message stands, and the link to the card that it shows."""

    channel: str
    ts: str
    key: str
    card: str


@dataclass(frozen=True)
class Standing(Address):
    """``shown``: a digest of what it says."""

    event: dict[str, Any]
    shown: str


def remember_standing(
    context: Context, release: Release, event: Event, posted: Message | None, address: Address
) -> None:
    """``posted`` None: what it says is unknown. One that was posted after the end says all there is
    to say already."""
    if release.phase.is_final and posted is not None:
        return
    known = [one for one in _load(context, release.id) if one.ts != address.ts]
    channel, ts, key, card = address.channel, address.ts, address.key, address.card
    added = Standing(channel, ts, key, card, asdict(event), _digest(posted) if posted else "")
    _save(context, release.id, [*known, added])


def edit_standing(context: Context, release: Release) -> int:
    """Returns milliseconds to wait, 0 when every message says how things stand."""
    known = _load(context, release.id)
    kept: list[Standing] = []
    wait = 0
    for one in known:
        edited, wait_ms = _edited(context, release, one)
        wait = max(wait, wait_ms)
        if edited is not None and (wait_ms or not release.phase.is_final):
            kept.append(edited)
    if kept != known:
        _save(context, release.id, kept)
    return wait


def _edited(context: Context, release: Release, one: Standing) -> tuple[Standing | None, int]:
    """(the message as it stands now, None where it is gone; milliseconds to wait)."""
    rendered = context.render.announcement(release, _event(one.event), one.card)
    if rendered is None or _digest(rendered[0]) == one.shown:
        return one, 0
    message = rendered[0]
    try:
        wait = edit_message(context, one.key, one.channel, one.ts, lambda: keyed(message, one.key))
    except (MessageGone, ChannelUnavailable):
        return None, 0
    return (one, wait) if wait else (replace(one, shown=_digest(message)), 0)


def _digest(message: Message) -> str:
    said = json.dumps([message.text, list(message.blocks)], sort_keys=True, default=dict)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _load(context: Context, release_id: str) -> list[Standing]:
    kept = context.store.peek(_key(release_id))
    return [Standing(**one) for one in json.loads(kept)] if kept else []


def _save(context: Context, release_id: str, standing: list[Standing]) -> None:
    if standing:
        document = json.dumps([asdict(one) for one in standing])
        context.store.put(_key(release_id), document, ttl_ms=KEPT_MS)
    else:
        context.store.take(_key(release_id))


def _key(release_id: str) -> str:
    return f"standing:{release_id}"


def _event(document: dict[str, Any]) -> Event:
    by = document["by"]
    return Event(
        document["at"],
        EventKind(document["kind"]),
        document["text"],
        Person(**by) if by else None,
        document["step"],
        tuple(document["evidence"]),
    )
