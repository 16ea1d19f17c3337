"""The probe before a switch: when the candidate's pods must be asked, and what their answers do.

Deciding asks no pod: the observation holds the answers, and ``pods_to_probe`` names the pods that
the next observation must ask.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.rollout import newest
from bot.releases.engine.decision import Decision
from bot.releases.engine.reconcile import conditions_hold, is_in_effect
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation, ProbeSeen
from bot.releases.facts.plan import Condition, Probe, Step
from bot.releases.facts.release import Phase, Release

AGAIN_MS = 5_000


def pods_to_probe(release: Release, seen: Observation) -> tuple[str, ...]:
    """The candidate's pods from which the current step needs an answer before it continues; ()
    where none is needed."""
    if (
        release.plan is None
        or release.plan.probe is None
        or release.rollback is not None
        or release.phase in (Phase.PAUSED, Phase.DRIFTED)
    ):
        return ()
    if not 0 <= release.progress.at_step < len(release.steps) or not _waits(
        release, release.steps[release.progress.at_step], seen
    ):
        return ()
    current = newest(seen.candidate) if seen.candidate else None
    return (
        tuple(pod.name for pod in current.pods if pod.ready and not pod.terminating)
        if current
        else ()
    )


def _waits(release: Release, step: Step, seen: Observation) -> bool:
    """Whether an answer is all that is missing: a candidate that is not ready yet is left alone."""
    waiting = [goal.when for goal in step.goals if not is_in_effect(release, goal, seen)]
    if release.progress.gate is None:
        waiting.append(step.until)
    wanted = [conditions for conditions in waiting if Condition.CANDIDATE_ANSWERS in conditions]
    return any(
        conditions_hold(
            release, seen, tuple(c for c in conditions if c is not Condition.CANDIDATE_ANSWERS)
        )
        for conditions in wanted
    )


def record_probe(decision: Decision, seen: Observation, now: int) -> Decision:
    """Record the pods' answers once when they turn bad and once when they turn good; after a bad
    one, ask again."""
    release = decision.release
    probe = release.plan.probe if release.plan else None
    if probe is None or seen.probe is None:
        return decision
    if not seen.probe.failed:
        if release.progress.probe_failure or (
            seen.probe.asked
            and release.progress.gate is None
            and Condition.CANDIDATE_ANSWERS in _until(release)
        ):
            decision = decision.record(
                now, EventKind.PROBED, f"{seen.probe.asked} requests of {probe.path} were answered"
            )
        return decision.changed(_with_failure(release, ""))
    failure = _failure(probe, seen.probe)
    if not release.progress.probe_failure:
        evidence = tuple(f"{pod}: {error}" for pod, error in seen.probe.failed[:5])
        text = f"{failure}. The switch waits until it succeeds; abort to roll back"
        decision = decision.record(now, EventKind.PROBE_FAILED, text, evidence=evidence)
    return decision.changed(_with_failure(release, failure)).wake(now + AGAIN_MS)


def _with_failure(release: Release, failure: str) -> Release:
    return replace(release, progress=replace(release.progress, probe_failure=failure))


def _until(release: Release) -> tuple[Condition, ...]:
    return release.steps[release.progress.at_step].until


def _failure(probe: Probe, seen: ProbeSeen) -> str:
    pod, error = seen.failed[0]
    others = f" and {len(seen.failed) - 1} more" if len(seen.failed) > 1 else ""
    return f"{probe.path} fails on {pod}{others}: {error}"[:400]
