"""How a version is brought out: each strategy writes the steps there and the steps back. No strategy imports another.

One signature: ``plan(draft) -> Plan`` and ``way_back(release, seen) -> tuple[Step, ...]``. Belongs here: a strategy's plan.
Not: how a plan is carried out (bot.releases.machine), nor any rule that holds for every release (bot.releases.planning).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.releases.model import Release, Strategy
from bot.releases.observation import Observation
from bot.releases.plan import Plan, Step
from bot.releases.planning import Draft
from bot.releases.strategies import bluegreen, canary, rolling


@dataclass(frozen=True)
class Ways:
    plan: Callable[[Draft], Plan]
    way_back: Callable[[Release, Observation], tuple[Step, ...]]


STRATEGIES: dict[Strategy, Ways] = {
    Strategy.CANARY: Ways(canary.plan, canary.way_back),
    Strategy.BLUEGREEN: Ways(bluegreen.plan, bluegreen.way_back),
    Strategy.ROLLING: Ways(rolling.plan, rolling.way_back),
}
