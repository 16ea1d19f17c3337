"""Which namespaces of a cluster the catalog has watched without an app in them: the named ones, and
those that fit a pattern, for as long as the watcher lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from bot.operations.context import Watch
from bot.ports import ClusterUnreachable, Refused

log = logging.getLogger(__name__)

WATCHED_RESOURCES = ("deployments",)
"""Enough for what is told at once; a rollout is then observed until it is over."""
LOOK_EVERY_S = 10.0
AFTER_TROUBLE_S = 5.0


class WatchedNamespaces:
    """A thread of its own lists the namespaces, since a cluster that does not answer may keep no
    other one waiting. A namespace that is gone stays: its list is empty."""

    def __init__(
        self,
        cluster: str,
        list_names: Callable[[], tuple[str, ...]],
        watch: Watch,
        known: Collection[str],
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """``list_names``: may raise ClusterUnreachable and Refused; ``known``: watched already."""
        self.cluster = cluster
        self._list_names, self._watch, self._look_every_s = list_names, watch, look_every_s
        self._known = set(known)
        self._fit = {one for one in watch.namespaces if "*" not in one}
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"namespaces-{cluster}", daemon=True)

    def __enter__(self) -> Self:
        if self._watch.has_patterns:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() or not self._watch.has_patterns

    def found(self) -> tuple[str, ...]:
        """Those that nobody has taken yet."""
        return tuple(sorted(self._fit - self._known))

    def take(self, namespace: str) -> None:
        self._known.add(namespace)

    def _run(self) -> None:
        while not self._stop.wait(self._look()):
            pass

    def _look(self) -> float:
        """Returns how many seconds until the next time."""
        try:
            names = self._list_names()
        except (ClusterUnreachable, Refused) as away:
            if str(away) != self._trouble and not self._stop.is_set():
                log.warning("cannot list the namespaces of %s: %s", self.cluster, away)
            self._trouble = str(away)
            return AFTER_TROUBLE_S
        self._trouble = ""
        self._fit = self._fit | {one for one in names if self._watch.covers(self.cluster, one)}
        return self._look_every_s
