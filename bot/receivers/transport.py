"""One HTTP request to a receiver: bounded in time and bytes, and no redirect is followed."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import orjson

from bot.no_redirects import make_opener
from bot.ports import ReceiverAway, ReceiverRefused

WITHIN_S = 4.0
MOST_BYTES = 1_048_576
MENDED_BY_PEOPLE = frozenset({401, 403, 408, 425, 429})
"""Statuses after which the same request may succeed: another token, a limit that ends."""

_opener = make_opener()


def call(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    within_s: float = WITHIN_S,
) -> Any:
    """What the receiver replied, None where that is no JSON. Raises ReceiverAway,
    ReceiverRefused."""
    request = urllib.request.Request(url, body, dict(headers), method=method)
    try:
        with _opener.open(request, timeout=within_s) as reply:
            content = _content(reply, within_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code < 400 or error.code >= 500 or error.code in MENDED_BY_PEOPLE:
            raise ReceiverAway(f"status {error.code}") from None
        raise ReceiverRefused(f"status {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ReceiverAway(f"{type(error).__name__}: {error}"[:200]) from None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _content(reply: Any, within_s: float) -> bytes:
    """Its beginning, where it comes drop by drop or without end."""
    ends, found = time.monotonic() + within_s, bytearray()
    while len(found) < MOST_BYTES and time.monotonic() < ends and (part := reply.read1(65_536)):
        found += part
    return bytes(found)
