"""Pod templates that a release saw healthy, saw fail, or left, and how long its rollout took: kept
for undo and for deadlines. Written before the save that it belongs to, since twice is once.

Healthy means complete, with an available pod of that very template. Every rollback marks the
template that it leaves, and so does an undo.
"""

from __future__ import annotations

from typing import Any

from bot.operations.context import Context
from bot.operations.lifecycle.known_templates import templates_key
from bot.releases.assess.rollout import has_proof, is_complete
from bot.releases.facts.as_found import AsFound
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.changes import Deploy, Reapply, Scale, Undo
from bot.releases.facts.observation import Observation, Seen
from bot.releases.facts.plan import DeploymentGoal, Plan, Side
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.releases.planning.capacity import waves_of

_FAULT_OF_TEMPLATE = (FailureClass.PERMANENT, FailureClass.PERSISTENT)


def remember_templates(context: Context, release: Release, seen: Seen) -> None:
    found, plan = release.as_found, release.plan
    if not isinstance(seen, Observation) or found is None or plan is None:
        return
    _remember_found(context, release, seen, found, plan)
    _remember_success(context, release, seen, found, plan)
    _remember_undone(context, release, found, plan)
    _remember_rollback(context, release, seen, found, plan)


def app_key(release: Release, cluster_uid: str, deployment: str = "") -> str:
    """Of the release's own Deployment, or the other one of a pair."""
    return templates_key(
        cluster_uid, release.target.namespace, deployment or release.target.deployment
    )


def _remember_found(
    context: Context, release: Release, seen: Observation, found: AsFound, plan: Plan
) -> None:
    """What ran before the first write, where all of it was available."""
    if release.progress.at_step > 0 or release.phase is Phase.SUCCEEDED:
        return
    if release.has_written:
        return
    stable = seen.stable
    if stable is None or not is_complete(stable) or not has_proof(stable):
        return
    key, template = app_key(release, found.cluster_uid), found.stable.template
    if stable.template != template:
        return
    # The history keeps naming the release that first saw it healthy.
    verdict, first_release, _ = context.store.verdict_on(key, template)
    if verdict in ("bad", "left"):
        return  # only a release that succeeds with it takes its mark away
    release_id = first_release if verdict == "healthy" else ""
    context.store.remember_healthy(key, template, version=plan.from_version, release_id=release_id)


def _remember_success(
    context: Context, release: Release, seen: Observation, found: AsFound, plan: Plan
) -> None:
    serves = seen.candidate if plan.keeps_both else seen.stable
    if release.phase is not Phase.SUCCEEDED or serves is None:
        return
    if isinstance(release.change, Reapply) and release.change.template is None:
        return  # it rolled no template
    key = app_key(release, found.cluster_uid, serves.name)
    if has_proof(serves):
        context.store.remember_healthy(
            key, serves.template, version=plan.version, release_id=release.id
        )
    elif not serves.replicas and not isinstance(release.change, Scale):
        _leave(context, release, key, serves.template, plan.version, "no pod of it was available")
    is_roll = isinstance(release.change, Deploy) and release.strategy is Strategy.ROLLING
    if is_roll and release.active_ms > 0:
        whole_ms = release.active_ms // waves_of(serves)
        wave_ms = max(1, whole_ms - serves.min_ready_seconds * 1000)
        context.store.remember_duration(
            app_key(release, found.cluster_uid), wave_ms, operation=f"{release.id}:duration"
        )


def _remember_undone(context: Context, release: Release, found: AsFound, plan: Plan) -> None:
    if release.phase is not Phase.SUCCEEDED or not isinstance(release.change, Undo):
        return
    person = release.requested_by
    why = f"undone by {person.display_name}"
    key = app_key(release, found.cluster_uid)
    _leave(context, release, key, found.stable.template, plan.from_version, why, known_good=True)


def _remember_rollback(
    context: Context, release: Release, seen: Observation, found: AsFound, plan: Plan
) -> None:
    if release.rollback is None or not release.phase.is_final:
        return
    if not release.has_written:
        return
    side, template = _brought_by(plan)
    kept = seen.stable is not None and seen.stable.template == template
    if template is None or kept or template == found.stable.template:
        return
    cause = release.cause
    key = app_key(release, found.cluster_uid, plan.candidate if side is Side.CANDIDATE else "")
    why = cause.summary if cause is not None else "rolled back"
    if cause is not None and cause.failure in _FAULT_OF_TEMPLATE:
        context.store.remember_bad(
            key, template, version=plan.version, why=why, release_id=release.id
        )
    else:
        _leave(context, release, key, template, plan.version, why, known_good=True)


def _brought_by(plan: Plan) -> tuple[Side, Any]:
    """The template that stable would run at the end; the candidate's where both Deployments
    stay."""
    goals = [goal for step in plan.steps for goal in step.goals if isinstance(goal, DeploymentGoal)]
    for side in (Side.STABLE, Side.CANDIDATE):
        for goal in goals:
            template = goal.template or ((goal.create_from or {}).get("spec") or {}).get("template")
            if goal.side is side and template is not None:
                return side, template
    return Side.STABLE, None


def _leave(
    context: Context,
    release: Release,
    key: str,
    template: Any,
    version: str,
    why: str,
    *,
    known_good: bool = False,
) -> None:
    """A failure of the template itself stays the stronger mark. ``known_good``: also one that a
    release saw healthy before."""
    verdict, _, _ = context.store.verdict_on(key, template)
    if verdict == "" or (verdict == "healthy" and known_good):
        context.store.remember_left(key, template, version=version, why=why, release_id=release.id)
