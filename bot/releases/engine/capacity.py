"""Stable is raised to carry the load before it takes over, and people hear who prevents it."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.handover import load_to_carry
from bot.releases.assess.intents import manager_of, set_fields
from bot.releases.engine.decision import Decision
from bot.releases.engine.minimum import raise_minimum
from bot.releases.facts.actions import FieldChange, PatchDeployment
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import DeploymentGoal
from bot.releases.facts.release import Raise, Release

MOST_RAISES = 3
"""What takes the raise back before it was observed is not fought."""


def raise_to_carry(
    decision: Decision, goal: DeploymentGoal, stable: DeploymentSeen, seen: Observation
) -> Decision:
    """One write; whatever takes it back is reported, and not fought."""
    release = decision.release
    raised = release.progress.raised
    wanted = max(goal.replicas or 0, load_to_carry(release, seen))
    if stable.replicas >= wanted:
        if raised is None or raised.held:
            return decision
        return _with_raise(decision, replace(raised, held=True))
    if raised is not None and raised.to >= wanted and _is_given_up(raised):
        return decision
    times = raised.times if raised is not None and raised.to >= wanted else 0
    decision = _with_raise(decision, Raise(wanted, times + 1))
    decision = raise_minimum(decision, seen, wanted)
    return _write(decision, stable, wanted)


def _write(decision: Decision, stable: DeploymentSeen, wanted: int) -> Decision:
    """An autoscaler moves the field on: no intent of ours must hold it."""
    release = decision.release
    change = FieldChange(Field.REPLICAS, stable.replicas, wanted)
    is_ours = release.rollback is None and not (release.plan and release.plan.has_autoscaler)
    if is_ours:
        settled = set_fields(release.intents, Kind.DEPLOYMENT, stable, {Field.REPLICAS: wanted})
        decision = decision.changed(replace(release, intents=settled.intents))
    return decision.doing(PatchDeployment(stable.name, stable.uid, stable.claim, (change,)))


def _is_given_up(raised: Raise) -> bool:
    return raised.held or raised.times >= MOST_RAISES


def _with_raise(decision: Decision, raised: Raise) -> Decision:
    release = decision.release
    return decision.changed(replace(release, progress=replace(release.progress, raised=raised)))


def report_taken_raise(decision: Decision, seen: Observation, now: int) -> Decision:
    """Once: who took stable back, and what a person may do."""
    release, stable = decision.release, seen.stable
    raised = release.progress.raised
    if raised is None or stable is None or raised.is_reported or not _is_given_up(raised):
        return decision
    if stable.replicas >= raised.to or decision.actions:
        return decision
    text = (
        f"{_who(release, stable)} took {stable.name} back to {counted(stable.replicas, 'pod')};"
        f" {raised.to} are needed to take over from {release.candidate_name}, which keeps serving."
        f" {_remedy(release, raised.to)}, or {_way_out(release)}"
    )
    reported = _with_raise(decision, replace(raised, is_reported=True))
    return reported.record(now, EventKind.ENVIRONMENT, text)


def _who(release: Release, stable: DeploymentSeen) -> str:
    if release.plan is not None and release.plan.has_autoscaler:
        return f"HorizontalPodAutoscaler {release.plan.autoscaler_name}".rstrip()
    return manager_of(stable, Field.REPLICAS) or "something else"


def _remedy(release: Release, needed: int) -> str:
    """An autoscaler keeps within both of its bounds, which may have changed since the plan."""
    if release.plan is not None and release.plan.has_autoscaler:
        return f"Raise its minimum to {needed}, and its maximum where that is lower"
    return f"Let it keep {counted(needed, 'pod')}"


def _way_out(release: Release) -> str:
    app, stable = release.target.typed, release.target.deployment
    if release.rollback is not None:
        return f"`rollout abort {app}` again to use the ready pods of {stable} now"
    return f"`rollout promote {app}` to hand over to the ready pods of {stable} now, or abort"
