"""What is wrong with the new pods before it counts: shown from its first sight, decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bot.releases.assess.container_failures import crash_counts_at, keeps_ending
from bot.releases.assess.pod_failures import pod_failure
from bot.releases.assess.rollout import live_pods, newest
from bot.releases.facts.card_snapshot import Struggle
from bot.releases.facts.observation import Observation, PodSeen
from bot.releases.facts.plan import Side
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules

UNREADY_AFTER_MS = 10_000
"""Every pod is unready while it starts."""


def struggle_of(release: Release, seen: Observation) -> Struggle | None:
    """Of the pods that the current step brings up; None where nothing is wrong yet."""
    step = release.current_step
    if release.rollback is not None or step is None:
        return None
    for side in step.watches:
        deployment = seen.stable if side is Side.STABLE else seen.candidate
        replica_set = newest(deployment) if deployment is not None else None
        live = live_pods(replica_set.pods) if replica_set is not None else ()
        wrong = [one for pod in live if (one := _wrong(pod, release.rules, seen.at))]
        if wrong:
            return _together(wrong, len(live))
    return None


def _together(wrong: list[Struggle], total: int) -> Struggle:
    """The most frequent trouble, with the pod that is nearest to its end."""
    what = Counter(one.what for one in wrong).most_common(1)[0][0]
    same = [one for one in wrong if one.what == what]
    worst = max(same, key=lambda one: one.restarts)
    return Struggle(
        what,
        len(same),
        total,
        worst.restarts,
        is_crash=worst.is_crash,
        counts_at=min((one.counts_at for one in same if one.counts_at), default=0),
    )


def _wrong(pod: PodSeen, rules: Rules, now: int) -> Struggle | None:
    if pod.ready:
        return None
    return next(_troubles(pod, rules, now), None)


def _troubles(pod: PodSeen, rules: Rules, now: int) -> Iterator[Struggle]:
    for container in pod.containers:
        if keeps_ending(container):
            what = container.last_terminated if container.last_terminated == "OOMKilled" else ""
            what = what or container.waiting or container.last_terminated
            at = crash_counts_at(pod, container, rules)
            yield Struggle(what, 1, 1, container.restarts, is_crash=True, counts_at=at)
    failure = pod_failure(pod, rules)
    if failure is not None:
        yield Struggle(failure.what, 1, 1, counts_at=failure.ripe_at)
    if any(message.startswith("Readiness probe failed") for _reason, message in pod.warnings):
        yield Struggle("the readiness probe fails", 1, 1)
    running = [one.running_since for one in pod.containers if not one.init]
    if running and all(running) and now - max(running) >= UNREADY_AFTER_MS:
        yield Struggle("running, but not ready", 1, 1)
