"""During a hold candidate pods are compared with stable pods over the same window."""

from __future__ import annotations

from typing import Any

from bot.releases.health import pods_of
from bot.releases.model import Verdict
from bot.releases.observation import DeploymentSeen, Observation


def _counters(deployment: DeploymentSeen | None) -> dict[str, Any]:
    pods = [pod for pod in pods_of(deployment) if not pod.terminating]
    return {pod.uid: {"restarts": pod.restarts, "ready_since": pod.ready_since if pod.ready else 0} for pod in pods}


def baseline_of(seen: Observation) -> dict[str, Any]:
    """Counters of each pod when a hold begins."""
    return {"stable": _counters(seen.stable), "candidate": _counters(seen.candidate)}


def _troubles(then: dict[str, Any], deployment: DeploymentSeen | None) -> tuple[int, int, int]:
    """(pods, restarts, readiness flaps) since the baseline. A pod made since then counts from its start."""
    pods = [pod for pod in pods_of(deployment) if not pod.terminating]
    restarts = flaps = 0
    for pod in pods:
        before = then.get(pod.uid, {"restarts": 0, "ready_since": 0})
        restarts += max(0, pod.restarts - int(before["restarts"]))
        was_ready = int(before["ready_since"])
        if not pod.ready or (was_ready and pod.ready_since != was_ready):
            flaps += 1
    return len(pods), restarts, flaps


def judge(baseline: Any, seen: Observation, window_ms: int) -> tuple[Verdict, str]:
    """good, bad (what, how much, against what) or too little to say.

    Rates are troubles (restarts and readiness flaps) per pod in the window; the candidate is bad when its rate exceeds stable's
    by at least half a trouble a pod. Without a candidate pod in the whole window there is too little to say.
    """
    then = baseline or {"stable": {}, "candidate": {}}
    pods, restarts, flaps = _troubles(then.get("candidate", {}), seen.candidate)
    stable_pods, stable_restarts, stable_flaps = _troubles(then.get("stable", {}), seen.stable)
    seconds = max(1, window_ms // 1000)
    if pods == 0 or not set(then.get("candidate", {})) & {pod.uid for pod in pods_of(seen.candidate)}:
        return Verdict.TOO_LITTLE, f"no candidate pod lived through the {seconds} s"
    rate = (restarts + flaps) / pods
    stable_rate = (stable_restarts + stable_flaps) / stable_pods if stable_pods else 0.0
    against = f"against {stable_restarts} restarts and {stable_flaps} readiness changes of {stable_pods} stable pods, in {seconds} s"
    detail = f"{restarts} restarts and {flaps} readiness changes of {pods} candidate pods {against}"
    return (Verdict.BAD if rate - stable_rate >= 0.5 else Verdict.GOOD), detail
