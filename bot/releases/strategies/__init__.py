"""How a version is released: each strategy writes the steps forward and the steps of a rollback. No
strategy imports another.

One signature: ``plan(draft) -> Plan`` and ``rollback_steps(release, seen) -> tuple[Step, ...]``.
Belongs here: a strategy's plan. Does not belong here: how a plan is carried out
(bot.releases.engine.decide), or a rule that holds for every release (bot.releases.planning).
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
from bot.releases.strategies.bluegreen import rollback as bluegreen_rollback
from bot.releases.strategies.canary import plan as canary
from bot.releases.strategies.canary import rollback as canary_rollback


@dataclass(frozen=True)
class Planner:
    plan: Callable[[Draft], Plan]
    rollback_steps: Callable[[Release, Observation], tuple[Step, ...]]


STRATEGIES: dict[Strategy, Planner] = {
    Strategy.CANARY: Planner(canary.plan, canary_rollback.rollback_steps),
    Strategy.BLUEGREEN: Planner(bluegreen.plan, bluegreen_rollback.rollback_steps),
    Strategy.ROLLING: Planner(rolling.plan, rolling.rollback_steps),
}
