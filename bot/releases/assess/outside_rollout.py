"""How a rollout is doing that no release started: by the same rules as a release's own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.releases.assess.pod_failures import assess, cause_of
from bot.releases.assess.rollout import is_complete, is_past_its_deadline, live_pods, newest
from bot.releases.facts.causes import Cause
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Side
from bot.releases.facts.rules import Rules


class RolloutState(StrEnum):
    ROLLING = "rolling"
    PAUSED = "paused"
    FAILING = "failing"
    STUCK = "stuck"  # past its own progressDeadlineSeconds
    COMPLETE = "complete"
    GONE = "gone"


@dataclass(frozen=True)
class OutsideRollout:
    """``ready``: pods of the current template that are ready; ``old``: pods of other templates that
    are left. ``cause``: why new pods do not run, or what the cluster lacks for them."""

    state: RolloutState
    wanted: int = 0
    ready: int = 0
    old: int = 0
    cause: Cause | None = None

    @property
    def is_over(self) -> bool:
        return self.state in (RolloutState.COMPLETE, RolloutState.GONE)


def outside_rollout(seen: Observation, rules: Rules) -> OutsideRollout:
    stable = seen.stable
    if stable is None or stable.terminating:
        return OutsideRollout(RolloutState.GONE)
    current = newest(stable)
    pods = live_pods(current.pods) if current is not None else ()
    found = assess(seen, Side.STABLE, rules, seen.at)
    failures = found.permanent or found.persistent
    lacking = found.unplaceable or found.environment
    return OutsideRollout(
        state=_state(stable, is_failing=bool(failures)),
        wanted=stable.replicas,
        ready=sum(pod.ready for pod in pods),
        old=max(0, stable.status_replicas - stable.updated),
        cause=cause_of(failures or lacking, len(pods)) if failures or lacking else None,
    )


def _state(stable: DeploymentSeen, *, is_failing: bool) -> RolloutState:
    if is_complete(stable):
        return RolloutState.COMPLETE
    if is_failing:
        return RolloutState.FAILING
    if stable.paused:
        return RolloutState.PAUSED
    return RolloutState.STUCK if is_past_its_deadline(stable) else RolloutState.ROLLING
