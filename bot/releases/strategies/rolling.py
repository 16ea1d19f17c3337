"""Rolling: patch, follow, verify. maxSurge and maxUnavailable stay the Deployment's own.

Scale, restart, undo and apply are rollings too: one write to the Deployment, followed until
complete.
"""

from __future__ import annotations

from bot.releases.assess.intents import find
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.facts.changes import Restart, Scale
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import LET_GO, Condition, DeploymentGoal, Plan, Side, Step
from bot.releases.facts.release import Release
from bot.releases.planning.as_found import found_cause
from bot.releases.planning.capacity import floor_of
from bot.releases.planning.draft import Draft
from bot.releases.planning.selection import keeps_own_selector, stays_selected


def plan(draft: Draft) -> Plan:
    change = draft.release.change
    if isinstance(change, Scale):
        goal = DeploymentGoal(Side.STABLE, claimed=True, replicas=change.replicas)
        title = f"scale from {draft.stable.replicas} to {change.replicas}"
        floor = min(draft.stable.replicas, change.replicas)
        has_autoscaler = False
    else:
        goal = DeploymentGoal(
            Side.STABLE,
            claimed=True,
            paused=False,
            template=draft.template,
            change_cause=draft.cause,
        )
        keeps_own_selector(draft)
        stays_selected(
            draft, dict(draft.template.get("metadata", {}).get("labels") or {}), draft.stable.name
        )
        title = (
            f"restart {draft.stable.name}"
            if isinstance(change, Restart)
            else f"roll {draft.stable.name} to {draft.version}"
        )
        floor = floor_of(draft.stable)
        survey = draft.seen.survey
        has_autoscaler = survey is not None and any(
            a.target == draft.stable.name for a in survey.autoscalers
        )
    roll = Step(
        "roll",
        title,
        (goal,),
        (Condition.STABLE_COMPLETE,),
        draft.deadline_ms,
        watches=(Side.STABLE,),
        stables=draft.stable.replicas,
    )
    serves = retarget_to_serving(
        draft.release.target, draft.seen
    ).deployment  # another one only where manifests name the idle one of a pair
    down = (
        floor == 0
        and draft.stable.replicas > 0
        and not isinstance(change, Scale)
        and serves == draft.stable.name
    )
    notes = (
        (f"{draft.release.target.app} will be down for a moment: no pod has to stay available",)
        if down
        else ()
    )
    if serves != draft.stable.name:
        notes = (*notes, f"{draft.stable.name} serves nobody now: {serves} does, and is left alone")
    return draft.plan(
        steps=(roll, LET_GO),
        floor=floor,
        deadline_ms=draft.deadline_ms,
        down=down,
        notes=notes,
        has_autoscaler=has_autoscaler,
    )


def rollback_steps(release: Release, _seen: Observation) -> tuple[Step, ...]:
    """The exact saved template, `paused` set back in the same patch, so that the old ReplicaSet is
    reused."""
    found = release.as_found
    if (
        found is None
        or release.plan is None
        or not any(intent.written for intent in release.intents)
    ):
        return ()
    stable = found.stable

    def written(field: Field) -> bool:
        intent = find(release.intents, Kind.DEPLOYMENT, stable.name, field)
        return intent is not None and intent.written

    goal = DeploymentGoal(
        Side.STABLE,
        template=stable.template if written(Field.TEMPLATE) else None,
        paused=stable.paused if written(Field.PAUSED) else None,
        change_cause=found_cause(stable) if written(Field.CHANGE_CAUSE) else None,
        replicas=stable.replicas if written(Field.REPLICAS) else None,
    )
    title = f"back to {release.plan.from_version}"
    step = Step(
        "back",
        title,
        (goal,),
        (Condition.STABLE_COMPLETE,),
        release.plan.deadline_ms,
        stables=stable.replicas,
    )
    return (step, LET_GO)
