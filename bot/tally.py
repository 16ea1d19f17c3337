"""What this process has counted since it last reported: its calls to Kubernetes and to Slack.

Counting is a step in memory; what was counted goes to Redis between two jobs, where the figures of
all processes add up. A process that is killed loses what it has not yet reported.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Mapping

_UNCOMMON = re.compile(r"[^A-Za-z0-9_.-]+")
MOST_OF_A_NAME = 40
LEFT_ALONE, BUDGET_LEFT = "left alone", "budget left"
"""What is noted of a cluster, which stands behind it."""
KUBERNETES_BURST = 200
"""Requests that a process may send one cluster at once."""


class Tally:
    """Safe for threads. A fork begins at nothing: its parent reports what it counted itself."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._notes: dict[str, int] = {}
        self._least: dict[str, int] = {}

    def add(self, counts: Mapping[str, int]) -> None:
        self._after_a_fork()
        with self._lock:
            self._counts.update(counts)

    def take(self) -> dict[str, int]:
        """What was counted since the last call."""
        self._after_a_fork()
        with self._lock:
            taken, self._counts = dict(self._counts), Counter()
        return taken

    def note(self, name: str, for_ms: int) -> None:
        """What is so for a while; 0 where it is so no longer."""
        self._after_a_fork()
        with self._lock:
            self._notes[name] = for_ms

    def take_notes(self) -> dict[str, int]:
        self._after_a_fork()
        with self._lock:
            taken, self._notes = self._notes, {}
        return taken

    def note_least(self, name: str, value: int) -> None:
        """The least of all that were noted by this name."""
        self._after_a_fork()
        with self._lock:
            self._least[name] = min(value, self._least.get(name, value))

    def take_least(self) -> dict[str, int]:
        self._after_a_fork()
        with self._lock:
            taken, self._least = self._least, {}
        return taken

    def _after_a_fork(self) -> None:
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc]  # a fork may have copied the lock held


TALLY = Tally()
"""The process's own: what makes calls is constructed in many places."""


def count_kubernetes(cluster: str, method: str, code: str, took_ms: int) -> None:
    """``code``: the status, or why there is none."""
    TALLY.add({f"kubernetes:{method}:{code}:{cluster}": 1, f"kubernetes_ms:{cluster}": took_ms})


def count_slack(method: str, code: str, took_ms: int) -> None:
    """``code``: "ok", Slack's own word for an error, or why there is none."""
    method, code = (_UNCOMMON.sub("_", text)[:MOST_OF_A_NAME] for text in (method, code))
    TALLY.add({f"slack:{method}:{code}": 1, f"slack_ms:{method}": took_ms})
