"""The message of a freeze stands in its channel as a banner, so it is edited once the freeze is
over."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bot.operations.context import Context
from bot.operations.delivery.edit_message import edit_message
from bot.operations.replies import FreezeReply
from bot.policy.freezes import Freeze
from bot.ports import ChannelUnavailable, Message, MessageGone, SlackUnavailable
from bot.releases.facts.people import Person

KEPT_MS = 400 * 86_400_000
_BANNERS = "freeze banners"


def remember_banner(context: Context, freeze: Freeze, channel: str, ts: str) -> None:
    known = _load(context)
    _save(context, [*known, {"channel": channel, "ts": ts, "freeze": asdict(freeze)}])


def edit_banners(context: Context, by: Person | None = None) -> None:
    """``by`` has just lifted or replaced a freeze. What Slack does not take now is edited at the
    next sweep. Raises StoreUnavailable."""
    known = _load(context)
    if not known:
        return
    in_force = context.store.freezes()
    left = [one for one in known if not _edited(context, one, in_force, by)]
    if left != known:
        _save(context, left)


def _edited(
    context: Context, banner: dict[str, Any], in_force: tuple[Freeze, ...], by: Person | None
) -> bool:
    """Whether nothing is left to say there."""
    freeze = _freeze(banner["freeze"])
    if freeze in in_force:
        return False
    over = _how_it_ended(freeze, in_force, by, context.store.now())
    channel, ts = banner["channel"], banner["ts"]

    def ended() -> Message:
        return context.render.reply(FreezeReply(freeze, over=over), now=context.store.now())

    try:
        return edit_message(context, f"banner:{ts}", channel, ts, ended) == 0
    except SlackUnavailable:
        return False
    except (ChannelUnavailable, MessageGone):
        return True


def _how_it_ended(freeze: Freeze, in_force: tuple[Freeze, ...], by: Person | None, now: int) -> str:
    if any(one.scope == freeze.scope for one in in_force):
        return "another freeze took its place"
    if freeze.until is not None and freeze.until <= now:
        return f"it ended at {freeze.ends}"
    return f"lifted by {by.display_name}" if by is not None else "it was lifted"


def _load(context: Context) -> list[dict[str, Any]]:
    kept = context.store.peek(_BANNERS)
    return list(json.loads(kept)) if kept else []


def _save(context: Context, banners: list[dict[str, Any]]) -> None:
    context.store.put(_BANNERS, json.dumps(banners), ttl_ms=KEPT_MS)


def _freeze(document: dict[str, Any]) -> Freeze:
    clusters = tuple(document.get("clusters", ()))
    return Freeze(**{**document, "by": Person(**document["by"]), "clusters": clusters})
