"""The store and the leases in memory, for worlds that run faster: another program than the scripts,
held to them by the same contract suite. Its figures are never mixed with theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.store.records import dump_release, load_release
from tests.fakes.in_memory_leases import InMemoryLeases, LeaseBook
from tests.fakes.in_memory_store import InMemoryBudgets, InMemoryReleaseStore, InMemoryWorkQueue

KEPT = 200


class MemoryInProcess:
    """In place of a Redis. See RedisInProcess."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._queue = InMemoryWorkQueue()
        self._store = InMemoryReleaseStore(self._queue, releases_kept=KEPT, clock=now_ms)
        self._book = LeaseBook(self._queue, now_ms)

    def store(self, new_id: Callable[[], str]) -> InMemoryReleaseStore:
        return self._store

    def leases(self, new_id: Callable[[], str]) -> InMemoryLeases:
        return InMemoryLeases(self._book, new_id=new_id)

    def is_nudged(self) -> bool:
        return self._queue.is_nudged

    def unnudge(self) -> None:
        self._queue.is_nudged = False

    def documents(self) -> dict[str, bytes]:
        """By the ids of the releases."""
        return {one: dump_release(kept) for one, kept in self._store._releases.items()}

    def rewrite(self, change: Callable[[str, bytes], bytes]) -> None:
        for one, kept in self._store._releases.items():
            document = change(one, dump_release(kept))
            self._store._releases[one] = load_release(
                document, id=one, version=kept.version, card_ts=kept.card_ts
            )

    def remember(self) -> Any:
        return [_copy(vars(one)) for one in self._parts()]

    def go_back(self, remembered: Any) -> None:
        for one, kept in zip(self._parts(), remembered, strict=True):
            vars(one).update(_copy(kept))

    def _parts(self) -> tuple[object, ...]:
        budgets: InMemoryBudgets = self._store._budgets
        return self._store, self._queue, self._book, budgets


def _copy(value: Any) -> Any:
    """Containers anew; what is in them is frozen, or one of the parts."""
    if isinstance(value, dict):
        copied = value.copy()
        copied.update((name, _copy(one)) for name, one in value.items())
        return copied
    if isinstance(value, (list, set)):
        return type(value)(map(_copy, value)) if isinstance(value, list) else value.copy()
    return value
