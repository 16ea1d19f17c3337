"""What may become of a call of a port, and how often: drawn from the seed, counted by name."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Fate(StrEnum):
    ARRIVES = "arrives"
    LOST = "lost"  # nothing was done, and the caller hears an error
    REPLY_LOST = "reply lost"  # done, and the caller hears an error
    LATE = "late"  # done after the caller heard an error
    LIMITED = "limited"  # Slack: too many
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"


FATES: dict[str, tuple[Fate, ...]] = {
    "store": (Fate.LOST, Fate.REPLY_LOST, Fate.KILLED_BEFORE, Fate.KILLED_AFTER),
    "leases": (Fate.LOST, Fate.REPLY_LOST, Fate.KILLED_BEFORE, Fate.KILLED_AFTER),
    "queue": (Fate.LOST, Fate.REPLY_LOST, Fate.KILLED_BEFORE, Fate.KILLED_AFTER),
    "cluster": (Fate.LOST, Fate.REPLY_LOST, Fate.LATE, Fate.KILLED_BEFORE, Fate.KILLED_AFTER),
    "slack": (Fate.LOST, Fate.REPLY_LOST, Fate.LIMITED, Fate.KILLED_BEFORE, Fate.KILLED_AFTER),
    "directory": (Fate.LOST,),
}
"""By port. A kill is drawn a quarter as often as the others."""
READS = frozenset(
    {
        "uid",
        "server_time",
        "observe",
        "is_unchanged",
        "observe_apps",
        "logs",
        "ask_pods",
        "sample_pods",
        "now",
    }
)
"""Calls that change nothing: none of them arrives late."""
KILLS = (Fate.KILLED_BEFORE, Fate.KILLED_AFTER)
RARER = 0.25
OFTENER = {("cluster", "apply"): 6.0, ("slack", "post"): 2.0, ("slack", "edit"): 2.0}
"""Calls that are few and matter: as many times the rate, besides."""


@dataclass
class Disturbances:
    """Everything that a seed does to a world, by name: a command, a click, a trouble, a call that
    goes wrong. ``only`` those happen; None: all. The draws stay the same without them."""

    only: frozenset[str] | None = None
    happened: list[str] = field(default_factory=list)
    _numbers: Counter[str] = field(default_factory=Counter)

    def happens(self, kind: str) -> bool:
        self._numbers[kind] += 1
        name = f"{kind} {self._numbers[kind]}"
        if self.only is not None and name not in self.only:
            return False
        self.happened.append(name)
        return True


@dataclass
class Fates:
    """``rate`` of calls that go wrong while ``is_rough``."""

    chance: random.Random
    rate: float
    more: random.Random  # for what is called seldom; of its own, so that known seeds stay the same
    disturbances: Disturbances = field(default_factory=Disturbances)
    is_rough: bool = True
    drawn: Counter[str] = field(default_factory=Counter)
    heard: Callable[[str], None] = lambda _what: None

    def note(self, what: str) -> None:
        """It happens."""
        self.drawn[what] += 1
        self.heard(what)

    def draw(self, port: str, method: str) -> Fate:
        if not self.is_rough:
            return Fate.ARRIVES
        oftener = OFTENER.get((port, method), 0.0)
        if oftener and self.more.random() < self.rate * oftener:
            return self._drawn(port, method, self.more.choice(FATES[port]))
        if self.chance.random() >= self.rate:
            return Fate.ARRIVES
        fate = self.chance.choice(FATES[port])
        if fate in KILLS and self.chance.random() >= RARER:
            return Fate.ARRIVES
        return self._drawn(port, method, fate)

    def _drawn(self, port: str, method: str, fate: Fate) -> Fate:
        is_read = method in READS
        if is_read and fate in (Fate.LATE, Fate.REPLY_LOST):
            fate = Fate.LOST
        if not self.disturbances.happens(f"{port} {fate.value}"):
            return Fate.ARRIVES
        self.note(f"{port}: {fate.value}")
        return fate
