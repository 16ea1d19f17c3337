"""Is the candidate worse than stable? During a hold their pods are compared over the same window:
restarts, readiness, crashes, time to ready."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Any

from bot.releases.assess.rollout import live_pods, pods_of
from bot.releases.facts.causes import Verdict
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import DeploymentSeen, Observation

WORSE_BY = 0.5  # more troubles per pod than stable has, in the window
SLOWER_BY = 3  # times stable's time to ready
SLOWER_BY_MS = 20_000  # and at least that much


def baseline_of(seen: Observation) -> dict[str, Any]:
    """Counters of each pod when a hold begins, as JSON values: the release record keeps them."""
    return {"stable": _counters(seen.stable), "candidate": _counters(seen.candidate)}


def _counters(deployment: DeploymentSeen | None) -> dict[str, Any]:
    return {
        pod.uid: {"restarts": pod.restarts, "ready_since": pod.ready_since if pod.ready else 0}
        for pod in live_pods(pods_of(deployment))
    }


@dataclass(frozen=True)
class Record:
    """What one side's pods did in the window. A pod created within it counts from its own start."""

    pods: int
    witnesses: int  # pods that were ready when the window began and still exist
    restarts: int
    flaps: int  # pods that stopped being ready, for good or for a moment
    # pods that no longer exist: shown, but no trouble of theirs, since something else removed them
    lost: int
    crashes: Counter[str]
    ready_after_ms: float | None  # median of the pods that never restarted

    @property
    def rate(self) -> float:
        """Troubles per pod."""
        return (self.restarts + self.flaps) / self.pods if self.pods else 0.0

    @property
    def is_troubled(self) -> bool:
        return bool(self.restarts or self.flaps or self.lost)


def record_of(then: dict[str, Any], deployment: DeploymentSeen | None) -> Record:
    pods = live_pods(pods_of(deployment))
    restarts = flaps = witnesses = 0
    crashes: Counter[str] = Counter()
    for pod in pods:
        before = then.get(pod.uid, {"restarts": 0, "ready_since": 0})
        more = max(0, pod.restarts - int(before["restarts"]))
        restarts += more
        was_ready = int(before["ready_since"])
        witnesses += bool(was_ready)
        # a restart takes readiness with it: that is one trouble, not two
        if not more and was_ready and (not pod.ready or pod.ready_since != was_ready):
            flaps += 1
        if more:
            crashes.update(
                c.last_terminated
                for c in pod.containers
                if c.last_terminated not in ("", "Completed")
            )
    steady = [
        pod.ready_since - pod.created_at
        for pod in pods
        if pod.ready and not pod.restarts and pod.ready_since > pod.created_at
    ]
    wanted = deployment.replicas if deployment else 0
    gone = len(set(then) - {pod.uid for pod in pods})
    lost = max(0, gone - max(0, len(then) - wanted))  # pods that were scaled down are not lost
    return Record(
        len(pods), witnesses, restarts, flaps, lost, crashes, median(steady) if steady else None
    )


def judge(baseline: Any, seen: Observation, window_ms: int) -> tuple[Verdict, str]:
    """The verdict, and a line that says what was compared with what.

    Bad: half a trouble per pod more than stable had, or three times as long to become ready (and
    20 s longer). Too little: no candidate pod was ready for the whole window.
    """
    then = baseline or {"stable": {}, "candidate": {}}
    candidate = record_of(then.get("candidate", {}), seen.candidate)
    stable = record_of(then.get("stable", {}), seen.stable)
    seconds = max(1, window_ms // 1000)
    sides = f"{_record_text(candidate, 'candidate')} against {_record_text(stable, 'stable')}"
    compared = f"{sides}, in {seconds} s"
    if candidate.rate - stable.rate >= WORSE_BY:
        return Verdict.BAD, compared
    if candidate.witnesses == 0:
        lost = f" ({counted(candidate.lost, 'pod')} lost)" if candidate.lost else ""
        return Verdict.TOO_LITTLE, f"no candidate pod was ready for the whole {seconds} s{lost}"
    slow, usual = candidate.ready_after_ms, stable.ready_after_ms
    if (
        slow is not None
        and usual is not None
        and slow >= SLOWER_BY * usual
        and slow - usual >= SLOWER_BY_MS
    ):
        return (
            Verdict.BAD,
            (
                f"candidate pods take {slow / 1000:.0f} s to become ready, stable pods"
                f" {usual / 1000:.0f} s"
            ),
        )
    if not (candidate.is_troubled or stable.is_troubled):
        both = (
            f"{counted(candidate.pods, 'candidate pod')} and {counted(stable.pods, 'stable pod')}"
        )
        return Verdict.GOOD, f"no restart and no readiness change of {both} in {seconds} s"
    return Verdict.GOOD, compared


def _record_text(record: Record, side: str) -> str:
    reasons = (
        f" ({', '.join(f'{reason} x{count}' for reason, count in record.crashes.most_common(3))})"
        if record.crashes
        else ""
    )
    lost = f", {counted(record.lost, 'pod')} lost" if record.lost else ""
    troubles = (
        f"{counted(record.restarts, 'restart')}{reasons} and"
        f" {counted(record.flaps, 'readiness change')}{lost}"
    )
    return f"{troubles} of {counted(record.pods, f'{side} pod')}"
