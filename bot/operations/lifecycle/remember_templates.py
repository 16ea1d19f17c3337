"""Pod templates that a release saw healthy or bad, and how long its rollout took: kept for undo and
for deadlines. Written before the save that it belongs to, since twice is once."""

from __future__ import annotations

from bot.operations.context import Context
from bot.operations.lifecycle.known_templates import templates_key
from bot.releases.facts.as_found import AsFound
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.changes import Deploy
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
    _remember_failure(context, release, found, plan)


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
    if any(intent.written for intent in release.intents):
        return
    stable = seen.stable
    if stable is None or not stable.replicas or stable.available < stable.replicas:
        return
    key, template = app_key(release, found.cluster_uid), found.stable.template
    # The history keeps naming the release that first saw it healthy.
    verdict, first_release, _ = context.store.verdict_on(key, template)
    release_id = first_release if verdict == "healthy" else ""
    context.store.remember_healthy(key, template, version=plan.from_version, release_id=release_id)


def _remember_success(
    context: Context, release: Release, seen: Observation, found: AsFound, plan: Plan
) -> None:
    serves = seen.candidate if plan.keeps_both else seen.stable
    if release.phase is not Phase.SUCCEEDED or serves is None:
        return
    served = app_key(release, found.cluster_uid, serves.name)
    context.store.remember_healthy(
        served, serves.template, version=plan.version, release_id=release.id
    )
    is_roll = isinstance(release.change, Deploy) and release.strategy is Strategy.ROLLING
    if is_roll and release.active_ms > 0:
        wave_ms = max(1, release.active_ms // waves_of(serves))
        context.store.remember_duration(
            app_key(release, found.cluster_uid), wave_ms, operation=f"{release.id}:duration"
        )


def _remember_failure(context: Context, release: Release, found: AsFound, plan: Plan) -> None:
    cause = release.cause
    if cause is None or cause.failure not in _FAULT_OF_TEMPLATE:
        return
    if release.rollback is None or not release.phase.is_final:
        return
    goals = (goal for step in plan.steps for goal in step.goals)
    bad = next(
        (
            goal.template
            for goal in goals
            if isinstance(goal, DeploymentGoal)
            and goal.side is Side.STABLE
            and goal.template is not None
        ),
        None,
    )
    if bad is not None:
        context.store.remember_bad(
            app_key(release, found.cluster_uid),
            bad,
            version=plan.version,
            why=cause.summary,
            release_id=release.id,
        )
