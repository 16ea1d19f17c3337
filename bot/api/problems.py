"""Refusals as machines read them (RFC 9457): a status, a code that stays, and one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from starlette.responses import Response


@dataclass(frozen=True)
class Problem:
    """``closes``: the rest of the request is not awaited."""

    status: int
    code: str
    line: str
    closes: bool = False

    def response(self) -> Response:
        headers = {"Cache-Control": "no-store"}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status == 503:
            headers["Retry-After"] = "1"
        if self.closes:
            headers["Connection"] = "close"
        title = CODES[self.code][1]
        body = {"title": title, "status": self.status, "code": self.code, "detail": self.line}
        return Response(orjson.dumps(body), self.status, headers, "application/problem+json")


CODES: Mapping[str, tuple[int, str]] = {
    "malformed": (400, "The request is malformed"),
    "invalid_token": (401, "No valid token"),
    "token_expired": (401, "The token has expired"),
    "not_allowed": (403, "The token does not cover this"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "too_slow": (408, "The body took too long"),
    "refused": (409, "The release was refused"),
    "locked": (409, "A version of the app failed; a person has to clear that first"),
    "too_large": (413, "The body is too large"),
    "not_json": (415, "The body is not JSON"),
    "invalid": (422, "A field is wrong"),
    "key_reused": (422, "The idempotency key belongs to another request"),
    "triggered_by_required": (422, "The person behind the release is missing"),
    "internal": (500, "Something went wrong inside Pilothouse"),
    "outcome_unknown": (503, "It is not known whether the release was started"),
    "unavailable": (503, "Not available right now"),
    "too_many": (503, "Too many open streams"),
}
"""Every code with its status and title. A code never changes its meaning."""


def problem(code: str, line: str, *, closes: bool = False) -> Problem:
    return Problem(CODES[code][0], code, line, closes)
