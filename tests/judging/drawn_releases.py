"""Counts of requests and failures as a release's holds would show them, drawn by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log
from random import Random

from bot.releases.facts.answers import Cell
from bot.releases.facts.causes import Verdict
from bot.releases.facts.plan import Side
from bot.releases.judge.budget import divide
from bot.releases.judge.cells import Tally
from bot.releases.judge.verdicts import Demand, compare

LOOK_MS = 5_000
HOLD_MS = 120_000
WINDOWS = 4  # three holds and the watch


@dataclass(frozen=True)
class World:
    """``requests``: of one pod in five seconds. ``worse``: by how much every source of the
    candidate is, 1 being all."""

    name: str
    stables: int = 9
    candidates: int = 1
    requests: int = 25
    candidate_requests: int = 25
    rate: float = 0.005
    worse: float = 0.0
    pods_differ: float = 0.0  # standard deviation of the logarithm of a pod's rate
    bursts: bool = False  # of a pod by itself: one in ten minutes, eight seconds, half of it fails
    outages: bool = False  # a dependency of both sides: one in two minutes, twenty seconds
    sources: int = 2


WORLDS = (
    World("independent requests"),
    World("half of the pods are candidates", stables=5, candidates=5),
    World("one pod against one", stables=1),
    World("1% of the traffic", stables=20, requests=125, candidate_requests=25),
    World("many failures", rate=0.1),
    World("no failures", rate=0.0),
    World("pods that differ", pods_differ=0.4),
    World("bursts", bursts=True),
    World("bursts, half of the pods", stables=3, candidates=3, bursts=True),
    World(
        "bursts, 1% of the traffic", stables=20, requests=125, candidate_requests=25, bursts=True
    ),
    World("a dependency that fails for both", outages=True),
    World("a probe of 20 requests", stables=3, requests=1, candidate_requests=1, rate=0.01),
)


def drawn(world: World, seed: int, false_alarms: float = 0.01) -> Iterator[Verdict]:
    """The verdicts of one release at every look of every window and source."""
    random = Random(f"{world.name} {world.worse} {seed}")
    shares = divide(false_alarms, holds=WINDOWS - 1, sources=world.sources, watches=True)
    demand = Demand(0.01, shares.alarm, shares.miss)
    pods = [(Side.STABLE, f"stable-{number}") for number in range(world.stables)]
    pods += [(Side.CANDIDATE, f"candidate-{number}") for number in range(world.candidates)]
    for _source in range(world.sources):
        rates = {pod: world.rate * _differing(random, world.pods_differ) for _side, pod in pods}
        for _window in range(WINDOWS):
            cells: list[Cell] = []
            totals = {pod: Tally() for _side, pod in pods}
            events = _Events(world, random, [pod for _side, pod in pods])
            for at in range(0, HOLD_MS, LOOK_MS):
                for side, pod in pods:
                    is_candidate = side is Side.CANDIDATE
                    count = world.candidate_requests if is_candidate else world.requests
                    rate = rates[pod] + (world.worse if is_candidate else 0.0)
                    failures = draw_binomial(random, count, events.rate(pod, at, rate))
                    cells.append(Cell(side, pod, at, count, failures))
                    before = totals[pod]
                    totals[pod] = Tally(before.requests + count, before.failures + failures)
                if world.worse or _may_be_bad(pods, totals, demand):
                    yield compare(cells, demand).verdict


def _may_be_bad(pods: list[tuple[Side, str]], totals: dict[str, Tally], demand: Demand) -> bool:
    """Bad is all that a world which is no worse asks about, and this much is quickly known: even
    without the worst pod of stable the candidate fails by ``worse_by`` more."""
    candidate = [totals[pod] for side, pod in pods if side is Side.CANDIDATE]
    stable = sorted((totals[pod] for side, pod in pods if side is Side.STABLE), key=_rate)
    usual = _sum(stable[:-1]) if len(stable) > 1 else _sum(stable)
    return _sum(candidate).rate - usual.rate >= demand.worse_by


def _rate(tally: Tally) -> float:
    return tally.rate


def _sum(tallies: list[Tally]) -> Tally:
    return Tally(sum(one.requests for one in tallies), sum(one.failures for one in tallies))


def _differing(random: Random, deviation: float) -> float:
    return exp(random.gauss(0, deviation) - deviation**2 / 2) if deviation else 1.0


class _Events:
    def __init__(self, world: World, random: Random, pods: list[str]) -> None:
        self._bursts: dict[str, list[tuple[float, float]]] = {
            pod: _spans(random, 600_000, 8_000) if world.bursts else [] for pod in pods
        }
        self._outages = _spans(random, 120_000, 20_000) if world.outages else []

    def rate(self, pod: str, at: int, rate: float) -> float:
        burst = 0.5 * _part(self._bursts[pod], at)
        outage = 0.3 * _part(self._outages, at)
        return 1 - (1 - rate) * (1 - burst) * (1 - outage)


def _spans(random: Random, every_ms: float, mean_ms: float) -> list[tuple[float, float]]:
    spans, at = [], random.expovariate(1 / every_ms)
    while at < HOLD_MS:
        spans.append((at, at + min(15_000.0, random.expovariate(1 / mean_ms))))
        at += random.expovariate(1 / every_ms)
    return spans


def _part(spans: list[tuple[float, float]], at: int) -> float:
    """Of the look that ends after ``at``."""
    covered = sum(max(0.0, min(end, at + LOOK_MS) - max(start, at)) for start, end in spans)
    return min(1.0, covered / LOOK_MS)


def draw_binomial(random: Random, count: int, rate: float) -> int:
    """By the gaps between failures, which are geometric: quick where failures are rare.

    >>> draw_binomial(Random(1), 10, 1.0), draw_binomial(Random(1), 10, 0.0)
    (10, 0)
    """
    if rate <= 0:
        return 0
    if rate >= 1:
        return count
    failures, at, per_gap = 0, 0, log(1 - rate)
    while True:
        at += int(log(1 - random.random()) / per_gap) + 1
        if at > count:
            return failures
        failures += 1


def ever(verdict: Verdict, world: World, releases: int, false_alarms: float) -> int:
    """How many releases got it at any look of any window and source."""
    return sum(verdict in drawn(world, seed, false_alarms) for seed in range(releases))


def upper_bound(found: int, of: int, certainty: float = 0.99) -> float:
    """Of the rate behind ``found`` in ``of`` (Clopper and Pearson, Biometrika 26, 1934).

    >>> round(upper_bound(0, 1000), 4), round(upper_bound(3, 1000), 4)
    (0.0046, 0.01)
    """
    low, high = found / of, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(found, of, middle) > 1 - certainty else (low, middle)
    return high


def _at_most(found: int, of: int, rate: float) -> float:
    """The chance of ``found`` or fewer."""
    if rate >= 1:
        return float(found >= of)
    term = (1 - rate) ** of
    total = term
    for number in range(found):
        term *= (of - number) / (number + 1) * rate / (1 - rate)
        total += term
    return total
