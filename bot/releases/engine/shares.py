"""A share of traffic above what was approved is asked about: stable became smaller, and a candidate
has at least one pod."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import wanted_fields
from bot.releases.engine.decision import Decision, enter_phase
from bot.releases.engine.outcome import Outcome, Proceed, Stop
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import DeploymentGoal, Side, Step
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.replicas import Split

TOLERANCE = 5
"""Percentage points: whole pods never give an exact share."""


def ask_about_share(decision: Decision, step: Step, seen: Observation, now: int) -> Outcome:
    """Stop: a person decides first. What is to be written is written all the same: it makes the
    share smaller."""
    release = decision.release
    split = _split_of(release, step, seen)
    approved = max(step.share or 0, step.wanted_share or 0, release.asked_share)
    if split is None or release.rollback is not None or split.percent <= approved + TOLERANCE:
        return Proceed(decision)
    summary = (
        f"{counted(split.candidates, 'canary pod')} beside {split.stables} is {split.percent}% of"
        f" the traffic, and {approved}% was approved"
    )
    asked = replace(
        release,
        asked_share=split.percent,
        paused_from=release.phase,
        cause=Cause(FailureClass.DRIFT, summary),
    )
    text = f"{summary}. Resume to continue, or abort to roll back."
    paused = decision.changed(enter_phase(asked, Phase.PAUSED, now))
    return Stop(paused.record(now, EventKind.PAUSED, text))


def _split_of(release: Release, step: Step, seen: Observation) -> Split | None:
    """The least that the step can do beside stable as it is now; None where it sets no share."""
    goal = next(
        (
            one
            for one in step.goals
            if isinstance(one, DeploymentGoal)
            and one.side is Side.CANDIDATE
            and one.at_most_share is not None
        ),
        None,
    )
    if goal is None or seen.stable is None:
        return None
    wanted = wanted_fields(goal, seen, release)[Field.REPLICAS]
    return Split(wanted, seen.stable.replicas)
