"""What an entry of the audit holds, and what lies beside it.

The entry is never changed. It holds ids and hashes alone: what people wrote and are called lies
beside it, with a random salt, and the entry holds the SHA-256 of that. So it can be erased, and the
chain over the entries stays as it was.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson
from pydantic import TypeAdapter

from bot.ports import AuditLine
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Release
from bot.request_id import current_work

MOST_LINE_BYTES = 840
"""With the fields beside it in the stream, an entry takes at most a kilobyte."""
MOST_WORDS_BYTES = 1_000
MOST_NAME = 80
OWN_WORDS = frozenset({EventKind.WROTE.value, "written", "trimmed", "erased"})
"""Kinds whose text is Pilothouse's own, about objects: it stays in the entry."""
_LINE: TypeAdapter[AuditLine] = TypeAdapter(AuditLine)
_BESIDE = {"name", "number", "count", "is_erased", "release_id"}


@dataclass(frozen=True)
class Stamp:
    """Which catalog, by its hash, and which version of Pilothouse decided."""

    catalog: str = ""
    version: str = ""


NO_STAMP = Stamp()


@dataclass(frozen=True)
class Written:
    """``sha``: of the line. ``words`` b"": nothing lies beside it."""

    line: bytes
    sha: str
    words: bytes

    @property
    def arguments(self) -> tuple[bytes, str, bytes]:
        """As the scripts take them."""
        return self.line, self.sha, self.words


def audit_line(event: Event, release: Release, release_id: str) -> AuditLine:
    by, app = event.by, release.target.app
    return AuditLine(
        event.at,
        release_id,
        app,
        event.kind.value,
        event.text,
        by.user if by else "",
        request_of(release),
        name=by.name if by else "",
        team=by.team if by else "",
        plan=release.plan.hash if release.plan else "",
    )


def with_request(line: AuditLine) -> AuditLine:
    """For a line that follows from no event of a release."""
    return replace(line, request_id=line.request_id or current_work().request)


def request_of(release: Release) -> str:
    """The id of the request that is being carried out: a click's own, else the one that the
    release works for."""
    return current_work().request or release.works_for


def dump_entry(line: AuditLine, salt: str, stamp: Stamp) -> Written:
    line = replace(line, catalog=stamp.catalog, version=stamp.version)
    words = b"" if line.kind in OWN_WORDS else _words(line, salt)
    text = hashlib.sha256(words).hexdigest() if words else line.text

    def dump(text: str) -> bytes:
        document = _LINE.dump_python(
            replace(line, text=text), exclude=_BESIDE, exclude_defaults=True
        )
        return orjson.dumps(document | {"words": 1} if words else document)

    entry = _cut(text, dump, MOST_LINE_BYTES)
    return Written(entry, hashlib.sha256(entry).hexdigest(), words)


def _words(line: AuditLine, salt: str) -> bytes:
    name = line.name[:MOST_NAME]

    def dump(text: str) -> bytes:
        return orjson.dumps({"salt": salt, "name": name, "text": text})

    return _cut(line.text, dump, MOST_WORDS_BYTES) if line.text or name else b""


def _cut(text: str, dump: Callable[[str], bytes], room: int) -> bytes:
    """The end of a longer text goes, and who did what and when stays."""
    whole = dump(text)
    if len(whole) <= room:
        return whole
    too_many = bisect_left(
        range(len(text)), True, key=lambda number: len(dump(f"{text[:number]}…")) > room
    )
    return dump(f"{text[: max(0, too_many - 1)]}…")


def load_entry(
    line: bytes, words: bytes | None, *, number: int, release_id: str, count: int
) -> AuditLine:
    """``words`` None: erased, or never there."""
    beside = has_words(line)
    try:
        document = orjson.loads(line)
        document.pop("words", 0)
        # An entry without a number holds the release in its line.
        found = _LINE.validate_python({"release_id": release_id, **document})
    except (ValueError, TypeError):
        found = AuditLine(0, release_id, "", "unreadable", "", "")
        beside = False
    found = replace(
        found,
        text="" if beside else found.text,
        number=number,
        count=count,
        is_erased=beside and words is None,
    )
    if words is None or not beside:
        return found
    try:
        kept = orjson.loads(words)
        return replace(found, name=kept["name"], text=kept["text"])
    except (ValueError, TypeError, KeyError):
        return replace(found, text="(unreadable)")


def is_of(line: bytes, words: bytes) -> bool:
    """Whether the words are those that the entry was written with."""
    return b'"text":"%b"' % hashlib.sha256(words).hexdigest().encode() in line


def has_words(line: bytes) -> bool:
    """Whether words were written beside it."""
    return line.endswith(b'"words":1}')
