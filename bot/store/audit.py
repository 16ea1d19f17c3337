"""The audit in Redis: one stream that is only appended to, sealed into a chain of heads.

What is written is numbered and stored by the script of the change itself (append_audit in
prelude.lua). Here it is read, sealed, and trimmed behind a checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from bot.ports import AuditHead, AuditLine
from bot.redis_errors import redis_errors
from bot.store.audit_chain import START, Entry, entry_of, extend
from bot.store.audit_entries import Stamp, Written, dump_entry, load_entry
from bot.store.scripts import Scripts

log = logging.getLogger(__name__)

WINDOW_MS = 60_000
"""The same refusal of the same person is one entry in it, with their number."""
SEALED_AT_ONCE = 5_000
READ_AT_ONCE = 1_000
TRIMMED_FROM = 100
"""Entries: each trimming is an entry itself."""
_FIRST = "-"


@dataclass(frozen=True)
class AuditState:
    """``sealed`` and ``checkpoint`` are START before the first. ``number``: of the last entry."""

    number: int
    sealed: AuditHead
    checkpoint: AuditHead
    sealed_at: str = _FIRST  # the id of the last sealed entry


class Audit:
    def __init__(
        self, client: Redis, scripts: Scripts, prefix: str, retention_ms: int, stamp: Stamp
    ) -> None:
        self._client, self._scripts, self._prefix = client, scripts, prefix
        self._retention_ms, self._stamp = retention_ms, stamp
        self._sealed_at = ""

    def _key(self, name: str) -> str:
        return self._prefix + name

    def dump(self, line: AuditLine, salt: str) -> Written:
        return dump_entry(line, salt, self._stamp)

    # --- reading ----------------------------------------------------------------------------------

    def state(self) -> AuditState:
        names = ("number", "sealed", "head", "sealed_at", "checkpoint", "checkpoint_head")
        with redis_errors():
            found = cast(
                list[bytes | None], self._client.hmget(self._key("audit-state"), list(names))
            )
        number, sealed, head, sealed_at, checkpoint, checkpoint_head = (
            one.decode() if one else "" for one in found
        )
        return AuditState(
            int(number or 0),
            AuditHead(int(sealed), head) if sealed else START,
            AuditHead(int(checkpoint), checkpoint_head) if checkpoint else START,
            sealed_at or _FIRST,
        )

    def newest(self, app: str | None, limit: int) -> tuple[AuditLine, ...]:
        """Newest first. An app's view points into the stream, which alone is the truth."""
        if app is None:
            return self._lines(self._newest(self._key("audit"), limit))
        found = self._newest(self._key(f"audit:{app}"), limit)
        rows = [row for row in found if b"line" in row[1]]  # by a version without pointers
        pointers = [fields[b"at"] for _, fields in found if b"at" in fields]
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            for at in pointers:
                pipeline.xrange(self._key("audit"), at, at)
            pointed = pipeline.execute() if pointers else []
        return self._lines([*(row for one in pointed for row in one), *rows])

    def of_app(
        self, app: str, after: str, since_ms: int, limit: int
    ) -> tuple[list[tuple[str, AuditLine]], str]:
        """Oldest first, from behind this place in the app's view, else since then; each with its
        place, and the last place that was read. What was trimmed meanwhile is left out."""
        start = _behind(after) if after else f"{since_ms}-0"
        with redis_errors():
            found = cast(
                list[tuple[bytes, dict[bytes, bytes]]],
                self._client.xrange(self._key(f"audit:{app}"), start, "+", count=limit),
            )
            pipeline = self._client.pipeline(transaction=False)
            for _, fields in found:
                at = fields.get(b"at", b"0-1")
                pipeline.xrange(self._key("audit"), at, at)
            pointed = pipeline.execute() if found else []
        rows = [
            (place, row[0] if row else (place, fields))
            for (place, fields), row in zip(found, pointed, strict=True)
            if row or b"line" in fields
        ]
        lines = self._lines([row for _, row in rows])
        through = found[-1][0].decode() if found else after
        places = [place.decode() for place, _ in rows]
        return list(zip(places, lines, strict=True)), through

    def _newest(self, name: str, limit: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        with redis_errors():
            return cast(
                list[tuple[bytes, dict[bytes, bytes]]],
                self._client.xrevrange(name, count=limit),
            )

    def _lines(self, rows: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> tuple[AuditLine, ...]:
        return tuple(self.with_words(_entry(at, fields) for at, fields in rows))

    def entries(self, after: str = _FIRST) -> Iterator[Entry]:
        """Oldest first, from behind the entry with this id in the stream."""
        start = after if after == _FIRST else _behind(after)
        while True:
            found = self._read(start, READ_AT_ONCE)
            yield from found
            if len(found) < READ_AT_ONCE:
                return
            start = _behind(found[-1].at.decode())

    def with_their_words(self) -> Iterator[tuple[Entry, bytes | None]]:
        """All of them, oldest first, as ``entries`` and ``words`` give them; quicker."""
        start = _FIRST
        while True:
            text: bytes = self._scripts.run("read_audit", start, READ_AT_ONCE)
            parts = text.split(b"\n") if text else []
            for index in range(0, len(parts), 4):
                at, about, line, words = parts[index : index + 4]
                yield entry_of(at, about, line), words or None
            if len(parts) < 4 * READ_AT_ONCE:
                return
            start = _behind(at.decode())

    def _read(self, start: str, count: int) -> list[Entry]:
        with redis_errors():
            found = cast(
                list[tuple[bytes, dict[bytes, bytes]]],
                self._client.xrange(self._key("audit"), start, "+", count=count),
            )
        return [_entry(at, fields) for at, fields in found]

    def words(self, entries: Sequence[Entry]) -> list[bytes | None]:
        numbers = [str(entry.number) for entry in entries]
        if not numbers:
            return []
        with redis_errors():
            return cast(
                list[bytes | None],
                self._client.hmget(self._key("audit-words"), numbers),
            )

    def with_words(self, entries: Iterable[Entry]) -> Iterator[AuditLine]:
        some = list(entries)
        for entry, words in zip(some, self.words(some), strict=True):
            yield load_entry(
                entry.line,
                words,
                number=entry.number,
                release_id=entry.release_id.decode(errors="replace"),
                count=int(entry.times) if entry.times.isdigit() else 1,
            )

    # --- sealing ----------------------------------------------------------------------------------

    def seal(self, now: int) -> AuditHead | None:
        """Idempotent: of several sealers one writes, and all compute the same. None where nothing
        is new."""
        self._scripts.run("count_refusals", WINDOW_MS, self._retention_ms)
        unsealed = self._unsealed(self._sealed_at or _FIRST)
        if not unsealed:
            return None
        state = self.state()
        head, last = state.sealed, state.sealed_at
        if last != self._sealed_at:  # another sealed meanwhile, or this is the first time
            unsealed = self._unsealed(last)
        for entry in unsealed:
            if entry.number:
                head = extend(head, entry)
            last = entry.at.decode()
        self._sealed_at = last
        if head == state.sealed:
            return None
        written = self._scripts.run(
            "seal_audit", state.sealed.number, head.number, head.digest, last
        )
        if not written:
            self._sealed_at = ""  # another's: read again what is sealed
            return None
        log.info("%s", head)
        self._trim(now, state.checkpoint, head.number)
        return head

    def _unsealed(self, last: str) -> list[Entry]:
        return self._read(last if last == _FIRST else _behind(last), SEALED_AT_ONCE)

    def _trim(self, now: int, checkpoint: AuditHead, sealed: int) -> None:
        """What is older than the retention, once it is enough: the stream may be trimmed nowhere
        else, since what is gone cannot be chained any more."""
        oldest = now - self._retention_ms
        if oldest <= 0 or not _are_older(self._read(_FIRST, 1), oldest):
            return
        found = self._read(_FIRST, TRIMMED_FROM)
        if len(found) < TRIMMED_FROM or not _are_older(found, oldest):
            return
        head, last = checkpoint, ""
        for entry in self._read(_FIRST, READ_AT_ONCE):
            if not _are_older([entry], oldest) or entry.number > sealed:
                break
            head, last = (extend(head, entry) if entry.number else head), entry.at.decode()
        line = AuditLine(now, "", "", "trimmed", f"entries up to {head}", "")
        written = self.dump(line, "")
        self._scripts.run(
            "trim_audit",
            checkpoint.number,
            head.number,
            head.digest,
            _behind(last),
            self._retention_ms,
            written.line,
            written.sha,
        )

    def erase(self, entries: Sequence[Entry], user: str, what: str, operation: str) -> None:
        """The words beside them; ``user``: whose, "" for several people's."""
        now = self.now()
        written = self.dump(AuditLine(now, "", "", "erased", what, ""), "")
        numbers = [entry.number for entry in entries]
        self._scripts.run(
            "erase_words", operation, user, self._retention_ms, *written.arguments[:2], *numbers
        )

    def now(self) -> int:
        with redis_errors():
            seconds, microseconds = cast(Any, self._client.time())
        return int(seconds) * 1000 + int(microseconds) // 1000


def _entry(at: bytes, fields: dict[bytes, bytes]) -> Entry:
    return entry_of(at, fields.get(b"about", b""), fields.get(b"line", b""))


def _are_older(entries: Sequence[Entry], oldest: int) -> bool:
    """By Redis' time of writing."""
    return all(int(entry.at.partition(b"-")[0]) < oldest for entry in entries)


def _behind(at: str) -> str:
    """The least id behind this one."""
    time, _, order = at.partition("-")
    return f"{time}-{int(order) + 1}"
