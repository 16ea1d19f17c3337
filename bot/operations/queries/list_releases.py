"""The last releases, from the record alone."""

from __future__ import annotations

from bot.operations.context import Context
from bot.operations.replies import ListingReply

LISTED = 15


def list_releases(context: Context, app: str | None) -> ListingReply:
    return ListingReply(
        f"Releases of {app}" if app else "Releases", context.store.recent(app, limit=LISTED)
    )
