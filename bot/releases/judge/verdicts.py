"""The verdict on one source: candidate and stable compared over the same window.

Bad: worse beyond doubt, and by at least ``worse_by``. Good: a worsening of ``worse_by`` is
excluded. Too little: neither. A pod that is sick alone is named and left out, since it is no reason
to call a version bad; where it is the candidate's, the version is not called good either.

    >>> demand = Demand(worse_by=0.01, alarm=0.001, miss=0.0025, min_requests=200)
    >>> def side(which, pods, requests, failures):
    ...     return [
    ...         Cell(which, f"{which}-{pod}", at, requests, failures)
    ...         for pod in range(pods)
    ...         for at in range(0, 120_000, 5_000)
    ...     ]
    >>> stable = side(Side.STABLE, 9, 50, 0)
    >>> [compare([*side(Side.CANDIDATE, 1, 50, failed), *stable], demand).verdict.value
    ...  for failed in (0, 1, 50)]
    ['good', 'bad', 'bad']
    >>> few = [cell for cell in side(Side.CANDIDATE, 1, 1, 0) if cell.at < 30_000]
    >>> compare([*few, *stable], demand).verdict.value
    'too_little'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

from bot.releases.facts.answers import Cell
from bot.releases.facts.causes import Verdict
from bot.releases.facts.plan import Side
from bot.releases.judge.cells import Interval, OneSide, Tally, by_interval, two_sides
from bot.releases.judge.dispersion import spread_of
from bot.releases.judge.e_values import log_e_within, log_e_worse

BURST_MS = 15_000
"""A verdict of bad stands without the candidate's worst seconds: one burst is no version."""


@dataclass(frozen=True)
class Demand:
    """``worse_by``: the difference of two rates that counts. ``alarm``, ``miss``: what this one
    comparison may err by. ``min_requests``: of the candidate, below which it is never good."""

    worse_by: float = 0.01
    alarm: float = 0.01
    miss: float = 0.01
    min_requests: int = 0
    burst_ms: int = BURST_MS


@dataclass(frozen=True)
class SickPod:
    side: Side
    name: str
    own: Tally
    others: Tally


@dataclass(frozen=True)
class Comparison:
    verdict: Verdict
    candidate: Tally
    stable: Tally
    sick: SickPod | None = None


def compare(cells: Iterable[Cell], demand: Demand) -> Comparison:
    candidate, stable = two_sides(cells)
    sick = _sick_pod(candidate, Side.CANDIDATE, demand) or _sick_pod(stable, Side.STABLE, demand)
    if sick is None:
        verdict = _verdict(candidate, stable, demand)
    else:
        verdict = _verdict(candidate.without(sick.name), stable.without(sick.name), demand)
    if verdict is Verdict.GOOD and sick is not None and sick.side is Side.CANDIDATE:
        verdict = Verdict.TOO_LITTLE
    return Comparison(verdict, candidate.total, stable.total, sick)


def _verdict(candidate: OneSide, stable: OneSide, demand: Demand) -> Verdict:
    if not candidate.total.requests or not stable.total.requests:
        return Verdict.TOO_LITTLE
    worse = candidate.total.rate - stable.total.rate
    if worse >= demand.worse_by:
        return Verdict.BAD if _is_worse(candidate, stable, demand) else Verdict.TOO_LITTLE
    if candidate.total.requests < max(demand.min_requests, _fewest(demand)):
        return Verdict.TOO_LITTLE
    intervals = by_interval(candidate, stable)
    evidence = log_e_within(intervals, demand.worse_by, spread_of(candidate, stable))
    return Verdict.GOOD if evidence >= -log(demand.miss) else Verdict.TOO_LITTLE


def _fewest(demand: Demand) -> float:
    """Not even requests that all succeed exclude it with fewer."""
    return log(demand.miss) / log(1 - demand.worse_by)


def _is_worse(candidate: OneSide, stable: OneSide, demand: Demand) -> bool:
    """Beyond doubt, and still by ``worse_by`` without the candidate's worst seconds."""
    needed = -log(demand.alarm)
    intervals = by_interval(candidate, stable)
    spread = spread_of(candidate, stable)
    if log_e_worse(intervals, demand.worse_by, spread) < needed:
        return False
    rest = without_burst(intervals, demand.burst_ms)
    return log_e_worse(rest, demand.worse_by, spread) >= needed if rest else False


def without_burst(intervals: Sequence[Interval], burst_ms: int) -> tuple[Interval, ...]:
    """Without those that ``burst_ms`` in a row can touch and in which the candidate failed most.

    >>> failures = {0: 1, 9: 5, 18: 4, 27: 2}
    >>> four = [Interval(at, Tally(10, failed)) for at, failed in failures.items()]
    >>> [one.at for one in without_burst(four, 10)]
    [0, 27]
    """
    if burst_ms <= 0 or not intervals:
        return tuple(intervals)

    def failures_from(first: int) -> float:
        return sum(one.candidate.failures for one in _touched(intervals, first, burst_ms))

    worst = max(range(len(intervals)), key=failures_from)
    left_out = {one.at for one in _touched(intervals, worst, burst_ms)}
    return tuple(one for one in intervals if one.at not in left_out)


def _touched(intervals: Sequence[Interval], first: int, burst_ms: int) -> Sequence[Interval]:
    ends = intervals[first].at + burst_ms
    return [one for one in intervals[first:] if one.at < ends]


def _sick_pod(side: OneSide, which: Side, demand: Demand) -> SickPod | None:
    """The one pod of a side that fails beyond doubt more than the others of that side."""
    pods, total = side.pods, side.total
    if len(pods) < 2 or not total.failures:
        return None
    name = max(pods, key=lambda pod: pods[pod].rate)
    own = pods[name]
    others = Tally(total.requests - own.requests, total.failures - own.failures)
    if own.rate - others.rate < max(demand.worse_by, 2 * others.rate):
        return None
    alone = OneSide([cell for cell in side.cells if cell.pod == name])
    strict = Demand(
        demand.worse_by, demand.alarm / len(pods), demand.miss, burst_ms=demand.burst_ms
    )
    is_sick = _is_worse(alone, side.without(name), strict)
    return SickPod(which, name, own, others) if is_sick else None
