"""Sums of what is counted: by side, by pod, by interval."""

from __future__ import annotations

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


def by_pod(cells: Iterable[Cell]) -> dict[str, Tally]:
    pods: dict[str, list[int]] = {}
    for cell in cells:
        both = pods.get(cell.pod)
        if both is None:
            pods[cell.pod] = [cell.requests, cell.failures]
        else:
            both[0] += cell.requests
            both[1] += cell.failures
    return {pod: Tally(*both) for pod, both in pods.items()}


class OneSide:
    """The cells of a side, summed up once."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells

    @cached_property
    def pods(self) -> dict[str, Tally]:
        return by_pod(self.cells)

    @cached_property
    def total(self) -> Tally:
        pods = self.pods.values()
        return Tally(sum(pod.requests for pod in pods), sum(pod.failures for pod in pods))

    def without(self, pod: str) -> OneSide:
        if pod not in self.pods:
            return self
        return OneSide([cell for cell in self.cells if cell.pod != pod])


def side_of(cells: Iterable[Cell], side: Side) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if cell.side is side and cell.requests)


def by_interval(cells: Iterable[Cell]) -> tuple[Interval, ...]:
    """In their order in time."""
    sums: dict[int, list[int]] = {}
    for cell in cells:
        four = sums.get(cell.at)
        if four is None:
            four = sums[cell.at] = [0, 0, 0, 0]
        place = 0 if cell.side is Side.CANDIDATE else 2
        four[place] += cell.requests
        four[place + 1] += cell.failures
    return tuple(Interval(at, Tally(*sums[at][:2]), Tally(*sums[at][2:])) for at in sorted(sums))
