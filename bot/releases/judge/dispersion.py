"""How much less a request says than an independent one would: errors come in bursts and by pod.

Where failures come in clumps of `k` requests, `k` requests carry the evidence of one. The clump is
estimated as Pearson's chi-square over its degrees of freedom (quasi-likelihood: Wedderburn 1974;
McCullagh and Nelder, Generalized Linear Models, 1989, section 4.5), twice: over the cells of a
side, which finds bursts, and over its pods, which finds pods that differ. The largest counts, for
both sides: a burst that one side happened to have would otherwise be taken for the version's.

One failure here and there is what independent requests do; thirty in one interval of one pod are
one event:

    >>> from bot.releases.facts.plan import Side
    >>> calm = [Cell(Side.STABLE, "a", at, 60, at in (3, 9)) for at in range(24)]
    >>> spread_of(OneSide([]), OneSide(calm))
    1.0
    >>> burst = [Cell(Side.CANDIDATE, "b", at, 60, 30 * (at == 5)) for at in range(24)]
    >>> round(spread_of(OneSide(burst), OneSide([])))
    31
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.releases.facts.answers import Cell
from bot.releases.judge.cells import OneSide, Tally


def spread_of(candidate: OneSide, stable: OneSide) -> float:
    """At least 1."""
    return max(_of_side(candidate), _of_side(stable))


def _of_side(side: OneSide) -> float:
    pods = tuple(side.pods.values())
    in_time = pearson(side.cells, side.total)
    return max(1.0, in_time, _for_few(pearson(pods, side.total), len(pods)))


def _for_few(estimate: float, pods: int) -> float:
    """Few pods show less of how pods differ than there is."""
    return 1 + (estimate - 1) * (1 + 2 / (pods - 1)) if pods > 1 else 1.0


def pearson(parts: Sequence[Tally | Cell], total: Tally) -> float:
    """Chi-square of one common rate over its degrees of freedom; 1 where it says nothing.

    >>> pearson([Tally(100, 1), Tally(100, 1), Tally(100, 10)], Tally(300, 12))
    7.031250000000001
    """
    if len(parts) < 2 or not 0 < total.failures < total.requests:
        return 1.0
    rate = total.rate
    spread = calm = 0.0
    for part in parts:
        failures, requests = part.failures, part.requests
        if failures:
            spread += (failures - requests * rate) ** 2 / requests
        else:
            calm += requests
    spread += calm * rate * rate
    return spread / (rate * (1 - rate)) / (len(parts) - 1)
