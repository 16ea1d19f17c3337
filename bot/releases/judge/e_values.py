"""Evidence that two failure rates differ, which may be looked at after every request.

An e-variable is a bet at fair odds: under the hypothesis that it doubts it does not grow, on
average. The product over intervals is then a test at any number of looks: the chance that it ever
exceeds 1/alpha is at most alpha (Ville 1939; Ramdas, Gruenwald, Vovk and Shafer, "Game-theoretic
statistics and safe anytime-valid inference", Statistical Science 38(4), 2023).

The bet on one interval is that of Turner, Ly and Gruenwald, "Generic E-variables for exact
sequential k-sample tests that allow for optional stopping", Journal of Statistical Planning and
Inference 230, 2024: the likelihood of an alternative (a, b) over that of the point of the
hypothesis nearest to it, in Kullback-Leibler divergence weighed by the requests of the sides. It is
exact for any numbers of requests and any convex hypothesis (Turner and Gruenwald, "Exact
anytime-valid confidence intervals for contingency tables and beyond", 2023), here

- *no worse*: the candidate's rate is at most stable's; and
- *worse by d*: the candidate's rate is at least stable's plus d.

Both hold interval by interval, so a dependency that fails for both sides is evidence for neither.
The alternatives are a fixed mixture, so that nothing is chosen after the data.

    >>> same = [Interval(0, Tally(1000, 2), Tally(9000, 18))]
    >>> worse = [Interval(0, Tally(1000, 22), Tally(9000, 18))]
    >>> round(log_e_worse(same, 0.01), 1), round(log_e_worse(worse, 0.01), 1)
    (-2.1, 21.8)
    >>> round(log_e_within(same, 0.01), 1), round(log_e_within(worse, 0.01), 1)
    (4.9, -2.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import exp, log

from bot.releases.judge.cells import Interval, Tally

_USUAL_RATES = (0.0003, 0.003, 0.012, 0.05, 0.2)
"""What stable may fail by, as alternatives."""
_LIFTS = (1.5, 4, 12, 40)
"""How much worse the candidate may be, in multiples of the worsening that counts."""
_SAME_RATES = (0.0001, 0.0006, 0.0025, 0.01, 0.03, 0.1, 0.3)
_ALL_BUT = 0.999
_HALVINGS = 40


def log_e_worse(
    intervals: Sequence[Interval], worse_by: float, overdispersion: float = 1.0
) -> float:
    """Natural logarithm of the evidence against *no worse*."""
    usable = [one for one in intervals if one.candidate.requests and one.stable.requests]
    return _mixed(
        [
            sum(_bet(one, pair, _same(one, pair)) for one in usable) / overdispersion
            for pair in _pairs(worse_by)
        ]
    )


def log_e_within(
    intervals: Sequence[Interval], worse_by: float, overdispersion: float = 1.0
) -> float:
    """Natural logarithm of the evidence against *worse by* ``worse_by``."""
    usable = [one for one in intervals if one.candidate.requests and one.stable.requests]
    return _mixed(
        [
            sum(_bet(one, (rate, rate), _apart(one, rate, worse_by)) for one in usable)
            / overdispersion
            for rate in _SAME_RATES
        ]
    )


_Rates = tuple[float, float]
"""The candidate's and stable's."""


@lru_cache(maxsize=64)
def _pairs(worse_by: float) -> tuple[_Rates, ...]:
    """The last is a candidate that fails nearly always."""
    lifted = {
        (rate + lift * worse_by, rate)
        for rate in _USUAL_RATES
        for lift in _LIFTS
        if rate + lift * worse_by < _ALL_BUT
    }
    return (*sorted(lifted), *((_ALL_BUT, rate) for rate in _USUAL_RATES[::2]))


def _mixed(logs: Sequence[float]) -> float:
    """Logarithm of the mean of the exponentials."""
    most = max(logs)
    return most + log(sum(exp(one - most) for one in logs) / len(logs))


def _bet(one: Interval, alternative: _Rates, nearest: _Rates) -> float:
    return _gain(one.candidate, alternative[0], nearest[0]) + _gain(
        one.stable, alternative[1], nearest[1]
    )


def _gain(tally: Tally, rate: float, nearest: float) -> float:
    return tally.failures * log(rate / nearest) + (tally.requests - tally.failures) * log(
        (1 - rate) / (1 - nearest)
    )


def _same(one: Interval, alternative: _Rates) -> _Rates:
    """The nearest pair of equal rates."""
    total = one.candidate.requests + one.stable.requests
    rate = (one.candidate.requests * alternative[0] + one.stable.requests * alternative[1]) / total
    return rate, rate


def _apart(one: Interval, rate: float, worse_by: float) -> _Rates:
    """The pair, ``worse_by`` apart, that is nearest to two sides of one ``rate``."""
    share = one.candidate.requests / (one.candidate.requests + one.stable.requests)
    lower = _lower(share, rate, worse_by)
    return lower + worse_by, lower


@lru_cache(maxsize=8192)
def _lower(share: float, rate: float, apart: float) -> float:
    """By bisection: the derivative of the weighed divergence rises along the line."""
    low, high = max(0.0, rate - apart), min(rate, 1 - apart)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        upper = middle + apart
        slope = share * (upper - rate) / (upper * (1 - upper)) - (1 - share) * (rate - middle) / (
            middle * (1 - middle)
        )
        low, high = (low, middle) if slope > 0 else (middle, high)
    return (low + high) / 2
