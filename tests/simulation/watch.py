"""A watch as an API server keeps it: every change has a version, a stream that broke is resumed
from the version that it had reached, and where that is too old the answer is 410 and all is listed
anew. A bookmark moves the version of a namespace in which nothing happens."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

KEPT = 30
"""Changes that the server remembers."""
BOOKMARK_MS = 60_000


@dataclass
class SimulatedWatch:
    """Of one cluster, a stream for each namespace. ``report`` hears of changed namespaces."""

    namespaces: Iterable[str]
    report: Callable[[str], None]
    reached: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    is_broken: bool = False
    _version: int = 0
    _changes: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _bookmarked_at: int = 0

    def changed(self, namespace: str) -> None:
        self._version += 1
        self._changes.append((self._version, namespace))
        if not self.is_broken:
            self.reached[namespace] = self._version
            self.report(namespace)

    def beat(self, now: int) -> None:
        if self.is_broken or now - self._bookmarked_at < BOOKMARK_MS:
            return
        self._bookmarked_at = now
        self.counts["watch: bookmark"] += 1
        for namespace in self.namespaces:
            self.reached[namespace] = self._version

    def resume(self) -> None:
        self.is_broken = False
        oldest = self._changes[0][0] if self._changes else 1
        for namespace in self.namespaces:
            since = self.reached.get(namespace, 0)
            missed = [at for at, where in self._changes if where == namespace and at > since]
            is_too_old = since < oldest - 1
            self.counts[f"watch: {'410' if is_too_old else 'resumed'}"] += 1
            self.reached[namespace] = self._version
            for _ in missed or ((0,) if is_too_old else ()):
                self.report(namespace)
