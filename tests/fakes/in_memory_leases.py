"""The due set and the leases in memory: what jobs and tickers ask of ``bot.store.Leases``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.store.leases import CLAIMS_AT_ONCE, QUEUED_LEASE_MS, RUNNING_LEASE_MS, Claim
from tests.fakes.in_memory_store import InMemoryWorkQueue

JITTER_MS = 2_000


@dataclass
class LeaseBook:
    """What all processes share."""

    queue: InMemoryWorkQueue
    clock: Callable[[], int]
    leased: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    given: int = 0
    beaten_at: int = 0

    def first(self, ends: Mapping[str, int], limit: int) -> list[str]:
        now = self.clock()
        found = sorted((at, wake_id) for wake_id, at in ends.items() if at <= now)
        return [wake_id for _, wake_id in found[:limit]]

    def end(self, wake_id: str) -> None:
        for kept in (self.leased, self.tokens, self.begun):
            kept.pop(wake_id, None)


class InMemoryLeases:
    """Of one process. See bot.store.Leases."""

    def __init__(self, book: LeaseBook, *, new_id: Callable[[], str]) -> None:
        self._book = book
        self._nonce = new_id()[:8]

    def wake(self, wake_id: str, at: int) -> None:
        self._book.queue.wake(wake_id, at)

    def claim(
        self,
        *,
        limit: int = CLAIMS_AT_ONCE,
        lease_ms: int = QUEUED_LEASE_MS,
        foremost: Callable[[Sequence[str]], Mapping[str, str]] = lambda ids: dict.fromkeys(ids, ""),
    ) -> tuple[tuple[Claim, ...], int | None]:
        book = self._book
        over = book.first(book.leased, limit)
        unclear = [one for one in over if one in book.tokens and one not in book.begun]
        next_ones = foremost(unclear) if unclear else {}
        claims = [claim for one in over if (claim := self._taken_over(one, next_ones, lease_ms))]
        for wake_id in book.first(book.queue.due, len(book.queue.due)):
            if len(claims) >= limit:
                break
            if wake_id not in book.leased:
                claims.append(self._granted(wake_id, self._new_token(), lease_ms))
        now = book.clock()
        later = [at - now for at in book.queue.due.values() if at > now]
        later += [max(0, at - now) for at in book.leased.values()]
        return tuple(claims), min(later, default=None)

    def _taken_over(self, wake_id: str, foremost: Mapping[str, str], lease_ms: int) -> Claim | None:
        book = self._book
        token, begun = book.tokens.get(wake_id, ""), wake_id in book.begun
        if token and not begun and _waits(foremost.get(wake_id, ""), token):
            book.leased[wake_id] = book.clock() + lease_ms
            return None
        if begun or not token:
            token = self._new_token()
            book.begun.pop(wake_id, None)
        return self._granted(wake_id, token, lease_ms)

    def _granted(self, wake_id: str, token: str, lease_ms: int) -> Claim:
        book = self._book
        book.queue.due.pop(wake_id, None)
        book.leased[wake_id] = book.clock() + lease_ms
        book.tokens[wake_id] = token
        return Claim(wake_id, token)

    def _new_token(self) -> str:
        self._book.given += 1
        return f"{self._nonce}-{self._book.given}"

    def beat(self) -> int:
        book, now = self._book, self._book.clock()
        back, book.beaten_at = book.beaten_at - now, now
        if back <= JITTER_MS:
            return 0
        due = book.queue.due
        due.update({one: max(now, at - back) for one, at in due.items() if at > now})
        longest = now + RUNNING_LEASE_MS
        book.leased.update({one: min(at, longest) for one, at in book.leased.items()})
        book.queue.is_nudged = True
        return back

    def begin(self, wake_id: str, token: str, *, lease_ms: int = RUNNING_LEASE_MS) -> bool:
        book = self._book
        if book.tokens.get(wake_id) != token or book.begun.get(wake_id, self._nonce) != self._nonce:
            return False
        book.begun[wake_id] = self._nonce
        book.queue.due.pop(wake_id, None)
        book.leased[wake_id] = book.clock() + lease_ms
        return True

    def begin_at_once(self, wake_id: str, *, lease_ms: int = RUNNING_LEASE_MS) -> str:
        book = self._book
        if wake_id in book.leased:
            is_own = book.begun.get(wake_id) == self._nonce
            return book.tokens.get(wake_id, "") if is_own else ""
        if wake_id not in book.queue.due:
            return ""
        claim = self._granted(wake_id, self._new_token(), lease_ms)
        book.begun[wake_id] = self._nonce
        return claim.token

    def finish(self, wake_id: str, token: str, next_wake: int | None, *, took_ms: int = 0) -> bool:
        book = self._book
        if book.tokens.get(wake_id) != token:
            return False
        book.end(wake_id)
        book.failures.pop(wake_id, None)
        if next_wake is not None:
            book.queue.wake(wake_id, next_wake)
        book.queue.is_nudged |= wake_id in book.queue.due
        return True

    def fail(self, wake_id: str, token: str, *, took_ms: int = 0) -> bool:
        book = self._book
        if book.tokens.get(wake_id) != token:
            return False
        book.end(wake_id)
        book.failures[wake_id] += 1
        wait = min(60_000, 500 * 2 ** min(book.failures[wake_id] - 1, 10))
        book.queue.wake(wake_id, book.clock() + wait)
        return True


def _waits(foremost: str, token: str) -> bool:
    """First in, first out: a job with a lower number than the foremost one has left the queue."""
    return bool(foremost) and _number(foremost) <= _number(token)


def _number(token: str) -> int:
    return int(token.rpartition("-")[2])
