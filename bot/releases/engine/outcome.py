"""The outcome of a guard: proceed to the next one, stop here, or roll the release back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from bot.releases.engine.decision import Decision
from bot.releases.facts.causes import Cause
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase


@dataclass(frozen=True)
class Proceed:
    """Nothing is in the way: the next guard, or the next part of a step, decides."""

    decision: Decision


@dataclass(frozen=True)
class Stop:
    """This observation allows no more than what the decision holds."""

    decision: Decision


@dataclass(frozen=True)
class RollBack:
    """Everything returns to as found; ``ends_as`` is the final phase."""

    decision: Decision
    cause: Cause
    ends_as: Phase


Outcome: TypeAlias = Proceed | Stop | RollBack
Guard: TypeAlias = Callable[[Decision, Observation, int], Outcome]
