"""How a version is brought out: each strategy writes the steps there and the steps back. No
strategy imports another.

One signature: ``plan(draft) -> Plan`` and ``rollback_steps(release, seen) -> tuple[Step, ...]``.
Belongs here: a strategy's plan. Not: how a plan is carried out (bot.releases.engine.decide), nor
any rule that holds for every release (bot.releases.planning.refusals).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import Plan, Step
from bot.releases.facts.release import Release
from bot.releases.facts.target import Strategy
from bot.releases.planning.draft import Draft
from bot.releases.strategies import rolling
from bot.releases.strategies.bluegreen import plan as bluegreen
from bot.releases.strategies.canary import plan as canary


@dataclass(frozen=True)
class Planner:
    plan: Callable[[Draft], Plan]
    rollback_steps: Callable[[Release, Observation], tuple[Step, ...]]


STRATEGIES: dict[Strategy, Planner] = {
    Strategy.CANARY: Planner(canary.plan, canary.rollback_steps),
    Strategy.BLUEGREEN: Planner(bluegreen.plan, bluegreen.rollback_steps),
    Strategy.ROLLING: Planner(rolling.plan, rolling.rollback_steps),
}
