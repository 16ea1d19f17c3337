"""A client of the API, on the standard library alone: it starts a release once however often the
connection fails, and follows it from where it was cut off."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.no_redirects import make_opener

REPLY_WITHIN_S = 15.0
SILENT_FOR_S = 45.0
"""A stream gives a sign of life every 15 s."""
START_AGAIN_FOR_S = 60.0
AWAY_FOR_S = 600.0
PAUSE_S = 2.0
MOST_BYTES = 1_048_576
LONGEST_LINE = 65_536
NOT_FOR_LONG = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request is sent again."""


class Refused(Exception):
    """The API understood and refused; ``code`` is stable, ``line`` is for people."""

    def __init__(self, status: int, code: str, line: str) -> None:
        super().__init__(line)
        self.status, self.code, self.line = status, code, line


class Away(Exception):
    """No reply that can be used, however often it was asked for."""


@dataclass(frozen=True)
class Event:
    place: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


class ApiClient:
    def __init__(
        self,
        url: str,
        token: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._url = url
        self._token = token
        self._clock = clock
        self._pause = pause
        self._opener = make_opener()

    def start(self, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Raises Refused, Away."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        return self._patiently(
            lambda: self._json("/releases", content, headers), for_s=START_AGAIN_FOR_S
        )

    def release(self, name: str) -> dict[str, Any]:
        """Raises Refused, Away."""
        return self._patiently(lambda: self._json(f"/releases/{name}"), for_s=AWAY_FOR_S)

    def events(self, name: str, ends_at: float | None = None) -> Iterator[Event]:
        """Until the event `end`. Raises Refused, Away, and TimeoutError at ``ends_at``."""
        place, heard_at = "", self._clock()
        while True:
            try:
                for event in self._stream(name, place, ends_at):
                    heard_at = self._clock()
                    if event is not None:
                        place = event.place or place
                        yield event
                        if event.kind == "end":
                            return
            except Away as away:
                if self._clock() - heard_at > AWAY_FOR_S:
                    raise Away(str(away)) from None
            self._check(ends_at)
            self._pause(PAUSE_S)

    def _check(self, ends_at: float | None) -> None:
        if ends_at is not None and self._clock() >= ends_at:
            raise TimeoutError

    def _stream(self, name: str, place: str, ends_at: float | None) -> Iterator[Event | None]:
        """None: a sign of life."""
        headers = {"Last-Event-ID": place} if place else {}
        reply = self._open(f"/releases/{name}/events", None, headers, SILENT_FOR_S)
        with reply:
            fields: dict[str, str] = {}
            while line := self._line(reply):
                self._check(ends_at)
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                if text:
                    key, _, value = text.partition(":")
                    fields[key] = value.removeprefix(" ")
                    continue
                yield _event(fields) if "event" in fields else None
                fields = {}

    def _line(self, reply: Any) -> bytes:
        try:
            return bytes(reply.readline(LONGEST_LINE))
        except (OSError, http.client.HTTPException) as error:
            raise Away(_words(error)) from None

    def _patiently(self, ask: Callable[[], dict[str, Any]], *, for_s: float) -> dict[str, Any]:
        ends = self._clock() + for_s
        while True:
            try:
                return ask()
            except Away:
                if self._clock() >= ends:
                    raise
            self._pause(PAUSE_S)

    def _json(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        with self._open(path, body, headers or {}, REPLY_WITHIN_S) as reply:
            try:
                found = json.loads(reply.read(MOST_BYTES))
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise Away(_words(error)) from None
        if not isinstance(found, dict) or "id" not in found:
            raise Away("the reply is none of Pilothouse")
        return found

    def _open(self, path: str, body: bytes | None, headers: dict[str, str], within_s: float) -> Any:
        request = urllib.request.Request(
            f"{self._url}/api/v1{path}",
            body,
            {"Authorization": f"Bearer {self._token}", **headers},
        )
        try:
            return self._opener.open(request, timeout=within_s)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise Away(_words(error)) from None


def _refusal(error: urllib.error.HTTPError) -> Refused | Away:
    try:
        found = json.loads(error.read(MOST_BYTES))
        code, line = str(found["code"]), str(found["detail"])
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException):
        return Away(f"status {error.code}, and not from Pilothouse")
    if error.code in NOT_FOR_LONG:
        return Away(line)
    return Refused(error.code, code, line)


def _event(fields: dict[str, str]) -> Event:
    try:
        data = json.loads(fields.get("data", ""))
    except ValueError:
        data = {}
    return Event(fields.get("id", ""), fields["event"], data if isinstance(data, dict) else {})


def _words(error: BaseException) -> str:
    return str(getattr(error, "reason", "")) or str(error) or type(error).__name__
