"""A fleet release: one version of one app in several clusters. Its record only orders the releases
of the clusters, which are its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.releases.facts.people import Vote
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Target

Unreachable: TypeAlias = Literal["wait", "skip", "stop"]
"""What a cluster that does not answer means for its wave: everything waits for it, the rest
continues without it, or no later wave begins."""
SHOWN = 8
"""Clusters that a line names."""
PartState: TypeAlias = Literal["waiting", "running", "done", "failed"]
ASKED_BY_FLEET = frozenset({"start", "version", "promote", "switch"})
"""Gates of a part that the fleet asks about, once for each wave. Whatever else a part's own plan
asks, it asks by itself."""


@dataclass(frozen=True)
class Wave:
    """Clusters whose parts run side by side. ``soak_ms``: how long they are watched before the next
    wave. ``catch_up_within_ms``: so long a skipped part begins by itself once its cluster
    answers."""

    clusters: tuple[str, ...]
    soak_ms: int = 0
    then: Literal["go", "approval"] = "go"
    unreachable: Unreachable = "wait"
    catch_up_within_ms: int = 86_400_000


@dataclass(frozen=True)
class Part:
    """One cluster's part, by the rules as they were when the fleet was started. ``release`` brings
    the version, ``undo`` takes it back: ids, "" before they exist. What follows is as last
    observed.

    ``state``: of the way there, ``back``: of the way back.
    """

    target: Target
    rules: Rules
    channel: str = ""  # its own; "" for that of the fleet
    release: str = ""
    undo: str = ""
    state: PartState = "waiting"
    back: Literal["", "running", "done", "left"] = ""
    words: str = ""  # what its release does, as people read it
    from_version: str = ""
    runs: str = ""  # the version that the cluster was last observed to run
    share: int | None = None  # percent of traffic on the new version
    since: int = 0  # of ``state``
    away_since: int = 0  # the cluster has not answered since then
    away: str = ""  # why
    is_skipped: bool = False  # its wave continued without it
    left: str = ""  # why the way back leaves it alone
    asks: str = ""  # the gate at which it stands, where the fleet asks about it
    told: tuple[str, ...] = ()  # gates that the fleet's approval has reached

    @property
    def cluster(self) -> str:
        return self.target.cluster


@dataclass(frozen=True)
class Given:
    """The approval of a gate: votes that the fleet hands to its parts. ``wave`` -1: of the start,
    for all of them."""

    wave: int
    gate: str
    votes: tuple[Vote, ...]


@dataclass(frozen=True)
class Fleet:
    """``is_catching_up``: every wave is over, and parts that were skipped are not done."""

    waves: tuple[Wave, ...]
    parts: tuple[Part, ...]
    given: tuple[Given, ...] = ()
    is_catching_up: bool = False

    def part(self, cluster: str) -> Part:
        return next(one for one in self.parts if one.cluster == cluster)

    def of_wave(self, wave: int) -> tuple[Part, ...]:
        return tuple(self.part(one) for one in self.waves[wave].clusters)

    def wave_of(self, cluster: str) -> int:
        return next(at for at, one in enumerate(self.waves) if cluster in one.clusters)
