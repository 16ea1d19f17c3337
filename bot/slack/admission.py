"""What a stranger's request may cost: it is bounded, then its signature is checked over the raw
bytes, and only then is anything parsed or logged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
from slack_sdk.signature import SignatureVerifier
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

MAX_BODY = 262_144
"""Bytes. Slack's largest payloads, a click with its whole message or a view with its state, are
about 100 KB."""
BODY_SECONDS = 3.0
"""For a whole body: Slack itself gives up on a request after 3 s."""
MAX_READING = 64
"""Bodies read at once, so unsigned requests hold at most 16 MB."""
_STAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


@dataclass(frozen=True)
class Rejected:
    """``reason`` is the label of the metric. ``closes``: the rest of the request is not awaited."""

    reason: str
    status: int
    line: str
    closes: bool = False


UNSIGNED = Rejected("signature", 401, "this request has no valid signature of Slack")
TOO_LARGE = Rejected("too_large", 413, "the body is too large")
TOO_SLOW = Rejected("too_slow", 408, "the body took too long", closes=True)
TOO_MANY = Rejected("too_many", 503, "too many unfinished requests", closes=True)
UNREADABLE = Rejected("unreadable", 400, "this is not a request from Slack")


class _Reading:
    def __init__(self, scope: anyio.CancelScope) -> None:
        self.scope = scope
        self.made_room = False


class Admission:
    """``secrets`` gives what Slack may sign with by now: two signing secrets while one is being
    exchanged for the other."""

    def __init__(
        self, secrets: Callable[[], Sequence[str]], *, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._secrets = secrets
        self._body_seconds = body_seconds
        self._open: list[_Reading] = []

    async def admit(self, request: Request) -> bytes | Rejected:
        """The body, if Slack signed it."""
        if _announced(request.headers) > MAX_BODY:
            return TOO_LARGE
        signed = _signature_of(request.headers)
        if signed is None:
            return UNSIGNED
        body = await self._read(request)
        if isinstance(body, Rejected):
            return body
        return body if self._is_valid(body, *signed) else UNSIGNED

    async def _read(self, request: Request) -> bytes | Rejected:
        """The oldest unfinished body makes room for a new one: Slack's arrive within milliseconds,
        so slow senders never keep them out."""
        if len(self._open) >= MAX_READING:
            oldest = self._open.pop(0)
            oldest.made_room = True
            oldest.scope.cancel()
        with anyio.move_on_after(self._body_seconds) as scope:
            reading = _Reading(scope)
            self._open.append(reading)
            try:
                return await _collect(request)
            except ClientDisconnect:
                return TOO_SLOW
            finally:
                if not reading.made_room:
                    self._open.remove(reading)
        return TOO_MANY if reading.made_room else TOO_SLOW

    def _is_valid(self, body: bytes, stamp: str, signature: str) -> bool:
        try:
            return any(
                SignatureVerifier(secret).is_valid(body, stamp, signature)
                for secret in self._secrets()
            )
        except UnicodeDecodeError:  # Slack sends UTF-8
            return False


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else 0


def _signature_of(headers: Headers) -> tuple[str, str] | None:
    """(timestamp, signature), each given exactly once and in Slack's form."""
    stamps = headers.getlist("x-slack-request-timestamp")
    signatures = headers.getlist("x-slack-signature")
    if len(stamps) != 1 or len(signatures) != 1:
        return None
    if not _STAMP.fullmatch(stamps[0]) or not _SIGNATURE.fullmatch(signatures[0]):
        return None
    return stamps[0], signatures[0]


async def _collect(request: Request) -> bytes | Rejected:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return TOO_LARGE
    return bytes(body)
