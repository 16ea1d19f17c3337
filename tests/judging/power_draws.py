"""How often the counts of the table suffice, drawn by seed."""

from __future__ import annotations

from math import log
from random import Random

from bot.releases.judge.cells import Interval, Tally
from bot.releases.judge.e_values import log_e_within, log_e_worse
from bot.releases.judge.power import Needed
from tests.judging.drawn_releases import draw_binomial


def noticed(needed: Needed, worsening: float, times: int) -> float:
    requests = needed.to_notice(worsening)
    assert requests is not None
    found = [
        log_e_worse(_drawn(needed, seed, requests, worsening), worsening / 2)
        for seed in range(times)
    ]
    return sum(one >= -log(needed.alarm) for one in found) / times


def excluded(needed: Needed, worsening: float, times: int) -> float:
    requests = needed.to_exclude(worsening)
    assert requests is not None
    found = [log_e_within(_drawn(needed, seed, requests, 0), worsening) for seed in range(times)]
    return sum(one >= -log(needed.miss) for one in found) / times


def _drawn(needed: Needed, seed: int, requests: int, worsening: float) -> list[Interval]:
    random = Random(f"{requests} {worsening} {seed}")
    stable = round(requests * needed.stable_per_candidate)
    failures = draw_binomial(random, requests, needed.base_rate + worsening)
    return [
        Interval(
            0,
            Tally(requests, failures),
            Tally(stable, draw_binomial(random, stable, needed.base_rate)),
        )
    ]
