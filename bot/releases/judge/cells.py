"""Sums of what is counted: by side, by pod, by interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bot.releases.facts.answers import Cell
from bot.releases.facts.plan import Side


@dataclass(frozen=True)
class Tally:
    """Sums; fractions of a request once bursts are weighed.

    >>> Tally(940, 20).rate
    0.02127659574468085
    """

    requests: float = 0
    failures: float = 0

    @property
    def rate(self) -> float:
        return self.failures / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Interval:
    """The two sides in the same seconds."""

    at: int
    candidate: Tally = Tally()
    stable: Tally = Tally()


class OneSide:
    """The cells of a side, summed up once."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells

    @property
    def pods(self) -> dict[str, Tally]:
        return self._sums[0]

    @property
    def in_time(self) -> dict[int, Tally]:
        """By when an interval began."""
        return self._sums[1]

    @cached_property
    def _sums(self) -> tuple[dict[str, Tally], dict[int, Tally]]:
        """In one pass: a hold of many pods has thousands of cells, and is judged at each look."""
        pods: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        times: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        for cell in self.cells:
            requests, failures = cell.requests, cell.failures
            of_pod, of_time = pods[cell.pod], times[cell.at]
            of_pod[0] += requests
            of_time[0] += requests
            if failures:
                of_pod[1] += failures
                of_time[1] += failures
        return (
            {pod: Tally(*both) for pod, both in pods.items()},
            {at: Tally(*both) for at, both in times.items()},
        )

    @cached_property
    def total(self) -> Tally:
        pods = self.pods.values()
        return Tally(sum(pod.requests for pod in pods), sum(pod.failures for pod in pods))

    def without(self, pod: str) -> OneSide:
        if pod not in self.pods:
            return self
        return OneSide([cell for cell in self.cells if cell.pod != pod])


def two_sides(cells: Iterable[Cell]) -> tuple[OneSide, OneSide]:
    """Candidate and stable."""
    of_candidate: list[Cell] = []
    of_stable: list[Cell] = []
    for cell in cells:
        if cell.requests:
            (of_candidate if cell.side is Side.CANDIDATE else of_stable).append(cell)
    return OneSide(of_candidate), OneSide(of_stable)


def side_of(cells: Iterable[Cell], side: Side) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if cell.side is side and cell.requests)


def by_interval(candidate: OneSide, stable: OneSide) -> tuple[Interval, ...]:
    """In their order in time."""
    of_candidate, of_stable = candidate.in_time, stable.in_time
    return tuple(
        Interval(at, of_candidate.get(at, _NOTHING), of_stable.get(at, _NOTHING))
        for at in sorted(of_candidate.keys() | of_stable.keys())
    )


_NOTHING = Tally()
