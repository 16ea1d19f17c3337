"""Does the new version fail? Then the way back does not wait for capacity."""

from __future__ import annotations

from bot.releases.assess.container_failures import container_failure
from bot.releases.assess.handover import is_nobody_served
from bot.releases.assess.rollout import live_pods, pods_of
from bot.releases.facts.causes import Cause, FailureClass, Verdict
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules

_OWN_FAULTS = (FailureClass.PERMANENT, FailureClass.PERSISTENT, FailureClass.VERDICT)


def is_fault_of(cause: Cause) -> bool:
    """Whether it is the new version's own."""
    return cause.failure in _OWN_FAULTS


def fails(release: Release, seen: Observation) -> bool:
    """Any sign in the candidate's pods, its probe or its last verdict, or a Service that nobody
    serves. One sign is enough: it only ends a wait that someone asked to go back for."""
    last = release.judgements[-1].verdict if release.judgements else Verdict.GOOD
    return (
        is_nobody_served(seen, release.target.services)
        or bool(release.progress.probe_failure)
        or last is Verdict.BAD
        or any(_is_failing(pod, release.rules) for pod in live_pods(pods_of(seen.candidate)))
    )


def any_pod_fails(deployment: DeploymentSeen, rules: Rules) -> bool:
    return any(_is_failing(pod, rules) for pod in live_pods(pods_of(deployment)))


def _is_failing(pod: PodSeen, rules: Rules) -> bool:
    """It does not answer though it runs, it was restarted, or it cannot start."""
    if pod.restarts or (pod.phase == "Running" and not pod.ready):
        return True
    return any(container_failure(pod, one, rules) is not None for one in pod.containers)
