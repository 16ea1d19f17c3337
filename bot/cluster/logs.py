"""The last lines that a container wrote."""

from __future__ import annotations

import re

from bot.cluster import errors
from bot.cluster.connect import Connection, path_of
from bot.ports import Refused

_MOST_BYTES = 64 * 1024
_REMOVED = re.compile(r"unable to retrieve container logs for \w+://[0-9a-f]+")
"""The kubelet's reply, with status 200, once the container and its log are removed."""


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
    return written_lines(text)[-lines:]


def written_lines(text: str) -> tuple[str, ...]:
    """Without what the kubelet says in place of a log.

    >>> written_lines("unable to retrieve container logs for containerd://12bfc5")
    ()
    >>> written_lines("panic: no config")
    ('panic: no config',)
    """
    return tuple(line for line in text.splitlines() if not _REMOVED.fullmatch(line))
