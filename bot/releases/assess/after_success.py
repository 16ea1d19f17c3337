"""Is a version worse since its release succeeded? Its pods now, against those that the release
left."""

from __future__ import annotations

from typing import Any

from bot.releases.assess.canary_comparison import WORSE_BY, Record, record_of
from bot.releases.assess.pod_failures import Assessment, assess, cause_of
from bot.releases.assess.rollout import live_pods, newest, pods_of, ready_pods
from bot.releases.facts.ages import duration
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Side
from bot.releases.facts.rules import Rules

FEWEST_RESTARTS = 2
"""One restart may be anything."""


def missing_pods(seen: Observation, rules: Rules) -> int:
    """How many pods are not ready that could be: what the cluster lacks room for, evicts or refuses
    is not the version's."""
    stable = seen.stable
    if stable is None:
        return 0
    found = assess(seen, Side.STABLE, rules, seen.at)
    theirs = {one.pod for one in (*found.environment, *found.unplaceable)}
    if found.blocked:
        return 0
    return max(0, stable.replicas - len(ready_pods(stable)) - len(theirs))


def worsening(
    then: Any, missing_since: int, seen: Observation, rules: Rules, *, since: int
) -> Cause | None:
    """``then``: ``baseline_of`` the first observation after the release. ``missing_since``: since
    when pods that could be ready are not, 0 where none is missing. ``since``: when it
    succeeded."""
    stable = seen.stable
    if stable is None:
        return None
    found = assess(seen, Side.STABLE, rules, seen.at)
    return (
        _of_failures(found, stable)
        or _of_restarts(record_of(then, stable), seen.at - since)
        or _of_readiness(stable, missing_since, seen, rules)
    )


def _of_failures(found: Assessment, stable: DeploymentSeen) -> Cause | None:
    failures = found.permanent or found.persistent
    current = newest(stable)
    if not failures or current is None:
        return None
    return cause_of(failures, len(live_pods(current.pods)))


def _of_restarts(record: Record, took_ms: int) -> Cause | None:
    few = record.restarts < FEWEST_RESTARTS
    if few or not record.pods or record.restarts / record.pods < WORSE_BY:
        return None
    how = ", ".join(f"{reason}: {times}" for reason, times in record.crashes.most_common(3))
    summary = f"{counted(record.restarts, 'restart')} of {counted(record.pods, 'pod')}"
    evidence = (f"how they ended: {how}",) if how else ()
    text = f"{summary} in {duration(took_ms)} since it succeeded"
    return Cause(FailureClass.PERSISTENT, text, evidence)


def _of_readiness(
    stable: DeploymentSeen, missing_since: int, seen: Observation, rules: Rules
) -> Cause | None:
    if not missing_since or seen.at - missing_since < rules.ready_within_ms:
        return None
    unready = tuple(pod.name for pod in live_pods(pods_of(stable)) if not pod.ready)
    ready, wanted = len(ready_pods(stable)), counted(stable.replicas, "pod")
    summary = f"only {ready} of {wanted} ready for {duration(seen.at - missing_since)}"
    evidence = tuple(f"{name} is not ready" for name in unready[:5])
    return Cause(FailureClass.PERSISTENT, summary, evidence, unready[:5])
