"""From raw samples of counters to what each pod counted in an interval.

A count is the difference of two samples that were taken: nothing is extrapolated, as increase()
does, since a rate of 0.1% of a few hundred requests is one or two of them. A counter that falls was
reset, and its new value is what was counted since.

    >>> increase([(10, 5.0), (20, 7.0), (30, 1.0), (40, 4.0)], 10, 40, is_new=False)
    6.0

A series that begins within the interval begins at 0 where its pod is new, or was scraped before
without it: the first error makes the series of errors. Elsewhere there was a gap, and what lies
before its first sample belongs to no interval:

    >>> [increase([(20, 7.0), (30, 9.0)], 10, 40, is_new=new) for new in (True, False)]
    [9.0, 2.0]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from statistics import median

from bot.releases.facts.answers import Cell
from bot.releases.facts.counters import LatencyRules, MetricRules, SeriesSeen
from bot.releases.facts.plan import Side

Points = Sequence[tuple[int, float]]
FEWEST_SCRAPES = 3
"""In a window of fewer, one scrape that failed would change everything."""


def window_needed(scrape_ms: int) -> int:
    """For the fewest scrapes, and one more to end with.

    >>> window_needed(15_000)
    60000
    """
    return scrape_ms * (FEWEST_SCRAPES + 1)


_SLACK = 1.1  # scrapes are late by some milliseconds: each interval should hold one of each pod
MOST_INTERVALS = 24
STALE_SCRAPES = 3


def increase(points: Points, begins: int, ends: int, *, is_new: bool) -> float:
    """What was counted after ``begins``, up to and including ``ends``. A look counts the last
    interval: it is sought from the end."""
    first = len(points)
    while first and points[first - 1][0] > begins:
        first -= 1
    before = points[first - 1][1] if first else None
    total = 0.0
    for at, value in points[first:]:
        if at > ends:
            break
        if before is None:
            before = 0.0 if is_new else value
        total += value - before if value >= before else value
        before = value
    return total


@dataclass(frozen=True)
class Pods:
    """Whose samples were asked for: the side of each name, and those that began after ``since``,
    so that every sample of theirs is there."""

    sides: Mapping[str, Side]
    new: frozenset[str]


def usable(series: Iterable[SeriesSeen]) -> tuple[SeriesSeen, ...]:
    """Without values that no counter has.

    >>> nan = float("nan")
    >>> one = SeriesSeen("m", "a", {}, ((1, 1.0), (2, nan), (3, -1.0), (4, 2.0)))
    >>> usable([one])[0].points
    ((1, 1.0), (4, 2.0))
    """
    return tuple([one if _all_count(one.points) else _cleaned(one) for one in series])


_TOO_LARGE = float("inf")


def _all_count(points: Points) -> bool:
    for _, value in points:  # noqa: SIM110 — a generator costs as much again
        if not 0 <= value < _TOO_LARGE:
            return False
    return True


def _cleaned(one: SeriesSeen) -> SeriesSeen:
    points = ((at, value) for at, value in one.points if isfinite(value) and value >= 0)
    return one._replace(points=tuple(points))


def scrape_interval(series: Iterable[SeriesSeen]) -> int:
    """Between two scrapes, in milliseconds; 0 where no pod was scraped twice.

    >>> scrape_interval([SeriesSeen("m", "a", {}, ((0, 1), (15_001, 1), (30_000, 2)))])
    15000
    """
    longest: dict[str, Points] = {}
    for one in series:
        if len(one.points) > len(longest.get(one.pod, ())):
            longest[one.pod] = one.points
    gaps = [
        later[0] - earlier[0] for points in longest.values() for earlier, later in pairwise(points)
    ]
    return round(median(gaps)) if gaps else 0


def interval_for(window_ms: int, scrape_ms: int) -> int:
    """At most so many in a window, each with a scrape of each pod. Chosen before anything is
    counted, and by nothing that is.

    >>> interval_for(120_000, 15_000), interval_for(3_600_000, 15_000)
    (16500, 150000)
    """
    return max(round(scrape_ms * _SLACK), window_ms // MOST_INTERVALS, 1)


def last_scrapes(series: Iterable[SeriesSeen]) -> dict[str, int]:
    """By pod, where it was scraped at all."""
    found: dict[str, int] = {}
    for one in series:
        if one.points:
            found[one.pod] = max(found.get(one.pod, 0), one.points[-1][0])
    return found


def complete_until(
    last: Mapping[str, int], waiting_for: Collection[str], scrape_ms: int, now: int
) -> int:
    """Until when every one of these pods was scraped: both sides end at the same scrape. A pod
    whose scrapes fail keeps the others waiting for some scrapes alone.

    >>> complete_until({"a": 100_000, "b": 98_000, "c": 20_000}, "abc", 15_000, 104_000)
    98000
    """
    oldest = now - STALE_SCRAPES * scrape_ms
    fresh = [last[pod] for pod in waiting_for if last.get(pod, 0) >= oldest]
    return min(fresh, default=0)


Counting = Callable[[SeriesSeen], tuple[int, int]]
"""What an increase of a series adds: to requests and to failures, as -1, 0 or 1."""


def by_errors(rules: MetricRules) -> Counting:
    selectors = (rules.requests, rules.errors)
    labels = tuple({matcher.label for one in selectors for matcher in one.matchers})
    known: dict[tuple[str, ...], tuple[int, int]] = {}

    def counting(one: SeriesSeen) -> tuple[int, int]:
        """Each combination of the labels that matter is matched once."""
        key = (one.metric, *[one.labels.get(label, "") for label in labels])
        found = known.get(key)
        if found is None:
            found = known[key] = (
                int(rules.requests.matches(one.metric, one.labels)),
                int(rules.errors.matches(one.metric, one.labels)),
            )
        return found

    return counting


def by_latency(latency: LatencyRules) -> Counting:
    """Slower than a bucket's bound: all requests without those of the bucket."""

    bounds: dict[str, float | None] = {}

    def counting(one: SeriesSeen) -> tuple[int, int]:
        written = one.labels.get("le", "")
        if written not in bounds:
            bounds[written] = bound_of(one.labels)
        bound = bounds[written]
        if bound == _TOO_LARGE:
            return 1, 1
        return (0, -1) if bound == latency.bound else (0, 0)

    return counting


def bound_of(labels: Mapping[str, str]) -> float | None:
    """
    >>> bound_of({"le": "0.5"}), bound_of({"le": "+Inf"}), bound_of({"le": "often"})
    (0.5, inf, None)
    """
    try:
        return float(labels.get("le", ""))
    except ValueError:
        return None


def count(
    series: Sequence[SeriesSeen],
    pods: Pods,
    begins: int,
    ends: int,
    counting: Counting,
    *,
    shown_at: int | None = None,
) -> tuple[Cell, ...]:
    """One cell for each pod that counted anything. ``shown_at``: when, instead of ``begins``.

    >>> from bot.releases.facts.counters import Matcher, Selector
    >>> requests = Selector("r_total")
    >>> errors = Selector("r_total", (Matcher("code", "=", "500"),))
    >>> seen = [
    ...     SeriesSeen("r_total", "new-1", {"code": "200"}, ((5, 10.0), (20, 40.0))),
    ...     SeriesSeen("r_total", "new-1", {"code": "500"}, ((20, 2.0),)),
    ... ]
    >>> whose = Pods({"new-1": Side.CANDIDATE}, frozenset())
    >>> cell, = count(seen, whose, 5, 20, by_errors(MetricRules(requests, errors)))
    >>> cell.requests, cell.failures
    (32, 2)
    """
    scraped = {one.pod for one in series if one.points and one.points[0][0] <= begins}
    sums: dict[str, list[float]] = {}
    for one in series:
        of_requests, of_failures = counting(one)
        if one.pod not in pods.sides or not (of_requests or of_failures):
            continue
        is_new = one.pod in scraped or one.pod in pods.new
        grown = increase(one.points, begins, ends, is_new=is_new)
        if grown:
            both = sums.setdefault(one.pod, [0.0, 0.0])
            both[0] += of_requests * grown
            both[1] += of_failures * grown
    at = begins if shown_at is None else shown_at
    return tuple(
        Cell(pods.sides[pod], pod, at, round(requests), round(min(max(failures, 0), requests)))
        for pod, (requests, failures) in sums.items()
        if round(requests) > 0
    )
