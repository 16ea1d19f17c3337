"""What every write keeps, checked once more before it is sent, apart from how it was decided: ready
endpoints do not fall below what was promised, and only the release's own objects are touched.

A write that would break a promise is a defect of Pilothouse. It is withheld: nothing is sent, and
the release stands still until people have decided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bot.releases.assess import intents
from bot.releases.assess.rollout import live_pods, pods_of
from bot.releases.assess.selectors import selects
from bot.releases.engine.decision import Decision, enter_phase, finish
from bot.releases.engine.respond import respond
from bot.releases.engine.transitions import with_roll_paused
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Scale
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen, ServiceSeen
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Refuse

Promise = Literal["floor", "foreign"]
PROMISES: tuple[Promise, ...] = ("floor", "foreign")


@dataclass(frozen=True)
class BrokenPromise:
    promise: Promise
    line: str


def broken_promise(release: Release, seen: Observation, action: Action) -> BrokenPromise | None:
    """What ``action`` would break, judged by what was observed last."""
    if line := _touches_what_is_not_ours(release, seen, action):
        return BrokenPromise("foreign", line)
    if line := _leaves_too_few(release, seen, action):
        return BrokenPromise("floor", line)
    return None


def withhold(release: Release, broken: BrokenPromise, now: int) -> Decision:
    """The release stands still where it is. A rollback, which cannot be paused, tries again."""
    why = f"Pilothouse withheld a write of its own: {broken.line}"
    if release.rollback is not None:
        return respond(release, Refuse(why), now)
    cause = Cause(FailureClass.REFUSED, why)
    if release.plan is None:
        failed = Decision(replace(release, cause=cause)).record(now, EventKind.FAILURE, why)
        return finish(failed, Phase.FAILED, now, why)
    if release.phase is Phase.PAUSED and release.cause == cause:
        return Decision(release)
    before = release.paused_from if release.phase is Phase.PAUSED else release.phase
    stopped = replace(with_roll_paused(release), cause=cause, paused_from=before)
    return (
        Decision(enter_phase(stopped, Phase.PAUSED, now))
        .record(now, EventKind.FAILURE, why)
        .record(now, EventKind.PAUSED, "paused by Pilothouse: its own check failed")
        .wake(now)
    )


# --- only its own objects -------------------------------------------------------------------------


def _touches_what_is_not_ours(release: Release, seen: Observation, action: Action) -> str:
    match action:
        case PatchDeployment() | CreateDeployment():
            known = {release.target.deployment, release.candidate_name}
            claim = _claim_of(release, seen, action.name)
            is_ours = action.name in known and action.claim in {claim, release.id}
        case DeleteDeployment():
            item = _deployment(seen, action.name)
            is_ours = action.name == release.candidate_name != release.target.deployment
            is_ours = is_ours and (item is None or intents.is_ours(release, item))
        case PatchService():
            is_ours = action.name in (*release.target.services, _preview(release))
        case CreateService() | DeleteService():
            is_ours = action.name == _preview(release)
        case PatchAutoscaler():
            is_ours = action.name in _autoscalers(release)
    return "" if is_ours else f"{action.kind.replace('_', ' ')} {action.name} is not its own"


def _claim_of(release: Release, seen: Observation, name: str) -> str:
    """What the Deployment may be claimed by: nobody, or a release of ours that is over."""
    item = _deployment(seen, name)
    over = {release.stale_claim, release.stale_candidate_claim}
    return item.claim if item is not None and item.claim in over else ""


def _preview(release: Release) -> str:
    return release.plan.preview if release.plan else ""


def _autoscalers(release: Release) -> set[str]:
    raised = {release.minimum.autoscaler} if release.minimum else set()
    return raised | ({release.plan.autoscaler_name} if release.plan else set())


def _deployment(seen: Observation, name: str) -> DeploymentSeen | None:
    both = (seen.stable, seen.candidate)
    return next((item for item in both if item is not None and item.name == name), None)


# --- enough ready endpoints -----------------------------------------------------------------------


def _leaves_too_few(release: Release, seen: Observation, action: Action) -> str:
    least = _promised(release, seen)
    for service in seen.services:
        if service.name not in release.target.services:
            continue
        before = _served(seen, service.selector)
        left = len(before) - _taken(seen, service, action, before)
        if left < min(len(before), least):
            return (
                f"{action.kind.replace('_', ' ')} {action.name} would leave {left} of"
                f" {len(before)} ready endpoints of {service.name}, at least {least} are promised"
            )
    return ""


def _promised(release: Release, seen: Observation) -> int:
    if release.plan is None or release.plan.down or seen.stable is None:
        return 0
    if isinstance(release.change, Scale):
        return min(1, release.change.replicas)
    if release.rollback is not None or release.progress.accepts_less:
        return 1
    # fewer may be wanted by now: that was changed outside Pilothouse
    return max(1, min(release.plan.floor, seen.stable.replicas))


def _served(seen: Observation, selector: dict[str, str]) -> tuple[PodSeen, ...]:
    pods = live_pods((*pods_of(seen.stable), *pods_of(seen.candidate)))
    return tuple(pod for pod in pods if pod.ready and selects(selector, pod.labels))


def _taken(
    seen: Observation, service: ServiceSeen, action: Action, before: tuple[PodSeen, ...]
) -> int:
    """How many fewer ready endpoints there are because of the write."""
    match action:
        case PatchService() if action.name == service.name:
            selectors = [one.after for one in action.changes if one.field is Field.SELECTOR]
            return len(before) - len(_served(seen, selectors[-1])) if selectors else 0
        case PatchDeployment():
            wanted = [one.after for one in action.changes if one.field is Field.REPLICAS]
            return _removed(seen, action.name, wanted[-1], before) if wanted else 0
        case DeleteDeployment():
            return _removed(seen, action.name, 0, before)
        case _:
            return 0


def _removed(seen: Observation, name: str, wanted: int, before: tuple[PodSeen, ...]) -> int:
    """Controllers remove pods that are not ready first."""
    pods = live_pods(pods_of(_deployment(seen, name)))
    serving = sum(pod in before for pod in pods)
    return max(0, len(pods) - wanted - (len(pods) - serving))
