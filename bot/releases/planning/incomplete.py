"""May a release start on a Deployment that is not complete, and who confirms it?

One unready pod refuses nothing. What is below the Deployment's own bounds is either still on its
way, and waited for, or broken: then a person may fix it forward.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.releases.assess.container_failures import container_failure
from bot.releases.assess.rollout import is_complete, is_rolled, live_pods, newest, pods_of
from bot.releases.facts.changes import Deploy, Reapply, Scale
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import DeploymentSeen, PodSeen
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.releases.planning.capacity import floor_of
from bot.releases.planning.refusals import PlanRefused


@dataclass(frozen=True)
class StartState:
    """``note``: what is unready, "" where nothing is. ``is_broken``: a person confirms the
    start."""

    note: str = ""
    is_broken: bool = False


def start_state(release: Release, stable: DeploymentSeen, now: int) -> StartState:
    """An undo and a restart start on anything: they are ways out. Raises PlanRefused."""
    change = release.change
    changes_what_runs = isinstance(change, Deploy) or (
        isinstance(change, Reapply) and change.template is not None
    )
    if is_complete(stable) or not (changes_what_runs or isinstance(change, Scale)):
        return StartState()
    pods = f"{stable.available} of {counted(stable.replicas, 'pod')} are available"
    rolled = is_rolled(stable)
    is_enough = stable.available >= max(1, floor_of(stable)) or not changes_what_runs
    if rolled and is_enough:
        return StartState(f"{pods}, and a rollback waits for no more than that")
    _refuse_what_is_no_fix(release, stable, is_stuck=_is_stuck(stable, release.rules, now))
    half = f", {stable.updated} of them updated" if not rolled else ""
    return StartState(
        f"{stable.name} is not healthy ({pods}{half}): a rollback returns to just that",
        is_broken=True,
    )


def _refuse_what_is_no_fix(release: Release, stable: DeploymentSeen, *, is_stuck: bool) -> None:
    is_fix = is_stuck and not isinstance(release.change, Scale)
    if is_fix and release.strategy is Strategy.ROLLING:
        return
    ready = f"{stable.available} of {stable.replicas} available, {stable.updated} updated"
    state = "half-rolled" if stable.updated < stable.status_replicas else "not healthy"
    way_out = "Deploy it rolling to fix it" if is_fix else "Wait for it"
    raise PlanRefused(
        f"{stable.name} is {state} ({ready}). {way_out}, or undo it (rollout undo"
        f" {release.target.typed})."
    )


def _is_stuck(stable: DeploymentSeen, rules: Rules, now: int) -> bool:
    """It will not become complete by itself: the controller gave up, or a pod fails or is late."""
    gave_up = any(
        kind == "Progressing" and status == "False" for kind, status, *_ in stable.conditions
    )
    current = newest(stable)
    return (
        gave_up
        or (current is not None and bool(current.failure))
        or any(_is_late(pod, rules, now) for pod in live_pods(pods_of(stable)))
    )


def _is_late(pod: PodSeen, rules: Rules, now: int) -> bool:
    if pod.ready:
        return False
    if any(container_failure(pod, one, rules) is not None for one in pod.containers):
        return True
    return now >= pod.created_at + rules.ready_within_ms
