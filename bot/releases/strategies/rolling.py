"""Rolling: patch the Deployment, follow the rollout, verify it. maxSurge and maxUnavailable stay
the Deployment's own.

Scale, restart, undo and apply are rolling too: one write to the Deployment, followed until it is
complete.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.assess.selectors import labels_of
from bot.releases.facts.changes import Deploy, Reapply, Restart, Scale
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import LET_GO, Condition, DeploymentGoal, Plan, Side, Step
from bot.releases.facts.release import Release
from bot.releases.planning.as_found import restored, rollback_basis
from bot.releases.planning.capacity import floor_of
from bot.releases.planning.draft import Draft
from bot.releases.planning.draining import replacement_notes
from bot.releases.planning.probing import judging_probe
from bot.releases.planning.selection import keeps_own_selector, stays_selected


def plan(draft: Draft) -> Plan:
    if isinstance(draft.release.change, Scale):
        return _scale(draft, draft.release.change)
    if isinstance(draft.release.change, Reapply) and draft.release.change.template is None:
        return draft.plan(steps=(), floor=floor_of(draft.stable), notes=("no pod is rolled",))
    return _roll(draft)


def _scale(draft: Draft, change: Scale) -> Plan:
    stable = draft.stable
    goal = DeploymentGoal(Side.STABLE, claimed=True, replicas=change.replicas)
    return draft.plan(
        steps=(
            replace(
                _step(draft, f"scale from {stable.replicas} to {change.replicas}", goal),
                until=(Condition.STABLE_SCALED,),
            ),
            LET_GO,
        ),
        floor=min(stable.replicas, change.replicas),
        deadline_ms=draft.deadline_ms,
        notes=_idle_notes(draft),
    )


def _roll(draft: Draft) -> Plan:
    stable, survey = draft.stable, draft.seen.survey
    keeps_own_selector(draft)
    stays_selected(draft, labels_of(draft.template), stable.name)
    goal = DeploymentGoal(
        Side.STABLE,
        claimed=True,
        paused=False,
        template=draft.template,
        change_cause=draft.cause,
    )
    is_restart = isinstance(draft.release.change, Restart)
    title = f"restart {stable.name}" if is_restart else f"roll {stable.name} to {draft.version}"
    floor = floor_of(stable)
    down = floor == 0 and stable.replicas > 0 and _serving_name(draft) == stable.name
    down_note = f"{draft.release.target.label} will be down briefly: no pod has to stay available"
    scalers = survey.autoscalers if survey is not None else ()
    scaler = next((one for one in scalers if one.target == stable.name), None)
    is_deploy = isinstance(draft.release.change, Deploy)
    probe, probe_notes = judging_probe(draft, draft.seen.services) if is_deploy else (None, ())
    judges = probe is not None or (is_deploy and draft.release.rules.metrics is not None)
    return draft.plan(
        steps=(replace(_step(draft, title, goal), judges_roll=judges), LET_GO),
        floor=floor,
        deadline_ms=draft.deadline_ms,
        down=down,
        probe=probe,
        notes=(
            *((down_note,) if down else ()),
            *_idle_notes(draft),
            *replacement_notes(draft),
            *probe_notes,
        ),
        has_autoscaler=scaler is not None,
        autoscaler_name=scaler.name if scaler else "",
    )


def _step(draft: Draft, title: str, goal: DeploymentGoal) -> Step:
    return Step(
        "roll",
        title,
        (goal,),
        (Condition.STABLE_COMPLETE,),
        draft.deadline_ms,
        watches=(Side.STABLE,),
        stables=draft.stable.replicas,
    )


def _serving_name(draft: Draft) -> str:
    """Another one than stable only where manifests name the idle Deployment of a kept pair."""
    return retarget_to_serving(draft.release.target, draft.seen).deployment


def _idle_notes(draft: Draft) -> tuple[str, ...]:
    name, serves = draft.stable.name, _serving_name(draft)
    if serves == name:
        return ()
    return (f"{name} gets no traffic now; {serves} serves and is left alone",)


def rollback_steps(release: Release, _seen: Observation) -> tuple[Step, ...]:
    """The exact saved template, with `paused` restored in the same patch, so that the old
    ReplicaSet is used again."""
    basis = rollback_basis(release)
    if basis is None:
        return ()
    found, made = basis
    step = Step(
        "back",
        f"back to {made.from_version}",
        (restored(release, Side.STABLE, found.stable),),
        (Condition.STABLE_BACK,),
        made.deadline_ms,
        stables=found.stable.replicas,
    )
    return (step, LET_GO)
