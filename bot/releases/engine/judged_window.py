"""When a new version is judged, which pods are its sides, and what one source of evidence found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bot.releases.assess.rollout import newest, pods_of
from bot.releases.facts.answers import Answers
from bot.releases.facts.causes import Verdict
from bot.releases.facts.counters import Source
from bot.releases.facts.observation import Observation, PodSeen
from bot.releases.facts.plan import HoldGate, Plan
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import JudgeRules
from bot.releases.judge.budget import Shares, divide
from bot.releases.judge.verdicts import BURST_MS, Comparison, Demand

AWAY_SHARE = 0.5
WARM_UP_MS = 5_000
"""A new pod's first answers may be late: a roll is bad only without its worst seconds, too."""


@dataclass(frozen=True)
class Found:
    """What one source says of a window, with a line for people; ``why``: the candidate's last bad
    answer.

    ``is_clear``: bad enough to roll back where stable's numbers are of another time. ``window``,
    ``query`` and ``link``: where people look it up.
    """

    verdict: Verdict
    detail: str
    compared: Comparison
    why: str = ""
    source: Literal["probe"] | Source = "probe"
    is_clear: bool = True
    window: tuple[int, int] = (0, 0)
    query: str = ""
    link: str = ""

    @property
    def is_away(self) -> bool:
        return self.verdict is Verdict.SOURCE_AWAY


Pods = tuple[PodSeen, ...]


def sides(release: Release, seen: Observation) -> tuple[Pods, Pods]:
    """The pods of the new and of the old version that are ready, by name."""
    candidate, stable = all_pods(release, seen)
    return _ready(candidate), _ready(stable)


def all_pods(release: Release, seen: Observation) -> tuple[Pods, Pods]:
    """Those of the new and of the old version; none while there is no new one."""
    if not is_rolling(release):
        current = newest(seen.candidate) if seen.candidate else None
        return (current.pods if current else ()), tuple(pods_of(seen.stable))
    current = newest(seen.stable) if seen.stable else None
    found = release.as_found
    if current is None or (found is not None and current.template == found.stable.template):
        return (), ()
    new = {pod.uid for pod in current.pods}
    return current.pods, tuple(p for p in pods_of(seen.stable) if p.uid not in new)


def _ready(pods: Iterable[PodSeen]) -> Pods:
    ready = (pod for pod in pods if pod.ready and not pod.terminating)
    return tuple(sorted(ready, key=lambda pod: pod.name))


def has_both(release: Release, seen: Observation) -> bool:
    return all(sides(release, seen))


def shares_of(plan: Plan, rules: JudgeRules) -> Shares:
    judged = [
        step
        for step in plan.steps
        if step.judges_roll or any(isinstance(g, HoldGate) and _is_for(g) for g in step.gates)
    ]
    metrics = rules.metrics
    counted = (1 + (metrics.latency is not None)) if metrics is not None else 0
    sources = (plan.probe is not None) + counted
    return divide(rules.false_alarms, holds=len(judged), sources=sources, watches=True)


def demand_of(release: Release, plan: Plan, *, min_requests: int = 0) -> Demand:
    """What a comparison of this release must show, of any source of evidence."""
    rules = release.rules.judge or JudgeRules()
    shares = shares_of(plan, rules)
    return Demand(
        rules.worse_by,
        shares.alarm * _share_of_window(release),
        shares.miss,
        min_requests,
        burst_ms=WARM_UP_MS if is_rolling(release) else BURST_MS,
    )


def _share_of_window(release: Release) -> float:
    """A freeze may hold a release for any number of windows in a row: those after the first raise
    as many false alarms together as one."""
    windows = release.standstill.windows if release.standstill is not None else 0
    return 6 / (math.pi * windows) ** 2 if windows else 1.0


def _is_for(gate: HoldGate) -> bool:
    return gate.judged or gate.is_rollback_window


def judged_hold(release: Release) -> HoldGate | None:
    """The hold at which the release waits and is judged."""
    state, step = release.progress.gate, release.current_step
    if state is None or step is None or state.gate >= len(step.gates) or state.skipped:
        return None
    gate = step.gates[state.gate]
    if not isinstance(gate, HoldGate) or not _is_for(gate):
        return None
    if gate.is_rollback_window and release.rules.bluegreen.judge == "off":
        return None
    return gate


def is_rolling(release: Release) -> bool:
    step = release.current_step
    return step is not None and step.judges_roll and release.progress.gate is None


def is_judged(release: Release) -> bool:
    if release.rollback is not None or release.phase in (Phase.PAUSED, Phase.DRIFTED):
        return False
    if release.plan is None or (release.plan.probe is None and release.rules.metrics is None):
        return False
    if release.progress.answers is not None and release.progress.answers.over:
        return False
    return is_rolling(release) or judged_hold(release) is not None


def window_of(release: Release) -> tuple[int, int] | None:
    """(when it began, without pauses; how long it lasts); None for a roll, which is asked at
    once."""
    gate, state = judged_hold(release), release.progress.gate
    if gate is None or state is None:
        return None
    answers = release.progress.answers or Answers()
    return state.opened_at + release.progress.paused_ms, gate.ms + answers.extended_ms


def versions_of(release: Release, plan: Plan) -> tuple[str, str]:
    """New and old, as texts name them."""
    return release.to_version or plan.version, release.from_version or plan.from_version
