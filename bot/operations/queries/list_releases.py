"""The last releases, from the record alone."""

from __future__ import annotations

from bot.operations.context import Context
from bot.operations.replies import ListingReply

LISTED = 15


def list_releases(context: Context, app: str | None, cluster: str | None = None) -> ListingReply:
    title = (f"Releases of {app}" if app else "Releases") + (f" in {cluster}" if cluster else "")
    return ListingReply(title, context.store.recent(app, cluster, limit=LISTED))
