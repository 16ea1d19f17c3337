"""Traffic shares as replicas: pure arithmetic. Behind one Service the share of traffic is the share
of ready endpoints.

*Add* mode puts candidates on top of stable, which stays whole; *shift* mode may shrink stable as
well, but never so that fewer pods than before remain. In both the answer is the split whose share
is nearest to the one wanted, then the one with fewer candidates (fewer users meet the new version),
then the one with fewer pods. A share above 0 always has a candidate, one below 100 always a stable
pod.

Worked examples, stable of 3 with at most 3 candidates:

    >>> three = Bounds(3, 3)
    >>> [nearest(share, three) for share in (10, 25, 50, 80)]
    [Split(candidates=1, stables=3), Split(candidates=1, stables=3), Split(candidates=3, stables=3),
    Split(candidates=3, stables=3)]
    >>> [nearest(share, Bounds(3, 3, shift=True)) for share in (10, 25, 50, 80)]
    [Split(candidates=1, stables=3), Split(candidates=1, stables=3), Split(candidates=2, stables=2),
    Split(candidates=3, stables=1)]
    >>> reachable(three), reachable(Bounds(3, 3, shift=True))
    ((25, 40, 50), (25, 33, 40, 50, 60, 67, 75))

Four wishes are known to round to no candidate at all, or to no stable pod, where the pods of both
versions must together be as many as before (the replica calculator of Argo Rollouts lists them:
zero surge). Here they do not:

    >>> wishes = ((2, 75), (5, 90), (10, 95), (25, 98))
    >>> for replicas, share in wishes:
    ...     nearest(share, Bounds(replicas, replicas, shift=True))
    Split(candidates=2, stables=1)
    Split(candidates=5, stables=1)
    Split(candidates=10, stables=1)
    Split(candidates=25, stables=1)
    >>> [nearest(share, Bounds(replicas, replicas)).percent for replicas, share in wishes]
    [50, 50, 50, 50]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bot.releases.facts.counts import counted


class CannotSplit(Exception):
    """No whole number of pods gives the shares asked for; the message, without a stop, says which
    are reachable."""


@dataclass(frozen=True)
class Split:
    candidates: int
    stables: int

    @property
    def share(self) -> Fraction:
        """The candidate's part of the ready pods, 0 to 1, exact."""
        return Fraction(self.candidates, self.candidates + self.stables)

    @property
    def percent(self) -> int:
        """The share for people: whole percents, halves up, never 0 or 100 while both serve.

        >>> Split(1, 3).percent, Split(1, 2).percent, Split(1, 7).percent, Split(1, 400).percent
        (25, 33, 13, 1)
        """
        rounded = int(self.share * 100 + Fraction(1, 2))
        return min(99, max(1, rounded)) if self.candidates and self.stables else rounded


@dataclass(frozen=True)
class Bounds:
    """What the planner may use. ``floor``: stable pods that always remain before the promotion."""

    replicas: int  # of stable, as found
    most_candidates: int
    shift: bool = False
    floor: int = 1

    def ranges(self, after: Split | None = None) -> Iterator[tuple[int, int, int]]:
        """(candidates, fewest stables, most stables) of every allowed split with a greater share
        than ``after``, without giving back pods: candidates never fewer, stables never more.
        """
        for candidates in range(max(1, after.candidates if after else 1), self.most_candidates + 1):
            most = min(self.replicas, after.stables) if after else self.replicas
            if after:  # c / (c + s) > c0 / (c0 + s0) means s < c * s0 / c0
                most = min(most, -(-candidates * after.stables // after.candidates) - 1)
            least = max(1, self.floor, self.replicas - candidates) if self.shift else self.replicas
            if least <= most:
                yield candidates, least, most

    def splits(self) -> Iterator[Split]:
        return (
            Split(c, stables)
            for c, least, most in self.ranges()
            for stables in range(least, most + 1)
        )


def nearest(percent: int, bounds: Bounds, after: Split | None = None) -> Split | None:
    """The allowed split nearest to a share of 1 to 99 percent; None when there is none (left)."""
    wanted = Fraction(percent, 100)
    best: tuple[Fraction, int, int] | None = None
    for candidates, least, most in bounds.ranges(after):
        exact = (
            candidates * (100 - percent) // percent
        )  # stables for this share, rounded down: it or the next is nearest
        for stables in {min(max(exact, least), most), min(max(exact + 1, least), most)}:
            found = (
                abs(Fraction(candidates, candidates + stables) - wanted),
                candidates,
                candidates + stables,
            )
            best = found if best is None else min(best, found)
    return Split(best[1], best[2] - best[1]) if best else None


def split_steps(percents: Iterable[int], bounds: Bounds) -> tuple[Split, ...]:
    """One split for each step, strictly rising. Raises CannotSplit when the steps cannot be told
    apart with that many pods.

    >>> split_steps((20, 50), Bounds(5, 5))
    (Split(candidates=1, stables=5), Split(candidates=5, stables=5))
    """
    wanted = tuple(percents)
    chosen: list[Split] = []
    for percent in wanted:
        split = nearest(percent, bounds, chosen[-1] if chosen else None)
        if split is None:
            raise CannotSplit(
                f"{len(wanted)} steps ({_percents(wanted)}) cannot be told apart with"
                f" {counted(bounds.replicas, 'replica')} and at most"
                f" {counted(bounds.most_candidates, 'candidate')}; reachable:"
                f" {_percents(reachable(bounds)) or 'none'}"
            )
        chosen.append(split)
    return tuple(chosen)


def _percents(shares: Iterable[int]) -> str:
    return ", ".join(f"{share}%" for share in shares)


def reachable(bounds: Bounds) -> tuple[int, ...]:
    """The shares that whole pods can give, as whole percents in rising order."""
    return tuple(sorted({split.percent for split in bounds.splits()}))


def distinct_steps(percents: Iterable[int], shares: Sequence[int]) -> tuple[int, ...]:
    """The reachable ``shares`` nearest to what was asked for, as many as can be told apart.

    >>> distinct_steps((20, 50), (50,)), distinct_steps((10, 20, 30, 40), (25, 40, 50))
    ((50,), (25, 40, 50))
    """
    chosen: list[int] = []
    for percent in percents:
        higher = [share for share in shares if not chosen or share > chosen[-1]]
        if higher:
            chosen.append(min(higher, key=lambda share: abs(share - percent)))
    return tuple(chosen)


def surge_for_promotion(replicas: int, unavailable: int, candidates: int, room: int | None) -> int:
    """Candidates that serve while stable rolls: at least as many as stable may lack then, so that
    capacity stays whole, where there is room for them.

    >>> surge_for_promotion(10, 2, 1, None), surge_for_promotion(10, 2, 5, None)
    (2, 5)
    >>> surge_for_promotion(10, 3, 1, 2)
    2
    """
    wanted = max(candidates, min(unavailable, replicas))
    return wanted if room is None else max(candidates, min(wanted, room))
