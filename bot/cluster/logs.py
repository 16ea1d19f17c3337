"""The last lines that a container wrote."""

from __future__ import annotations

from bot.cluster import errors
from bot.cluster.connect import Connection, path_of
from bot.ports import Refused

_MOST_BYTES = 64 * 1024


def logs(
    connection: Connection,
    namespace: str,
    pod: str,
    *,
    container: str | None,
    lines: int,
    previous: bool,
) -> tuple[str, ...]:
    """() when there are none: the pod is gone, the container never ran, or the bot may not read
    them."""
    query = {"tailLines": str(lines), "limitBytes": str(_MOST_BYTES)}
    if container is not None:
        query["container"] = container
    if previous:
        query["previous"] = "true"
    try:
        text = connection.get_text(
            path_of("pods", namespace, pod) + "/log", query, most=_MOST_BYTES
        )
    except (errors.NotThere, Refused):
        return ()
    return tuple(text.splitlines()[-lines:])
