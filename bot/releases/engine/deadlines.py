"""How long a step may take, and what happens when it takes longer."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import deployment_of
from bot.releases.assess.struggle import struggle_of
from bot.releases.engine.cluster_trouble import PATIENCE_MS, is_clusters_fault
from bot.releases.engine.decision import Decision
from bot.releases.engine.failures import fail
from bot.releases.engine.outcome import Outcome, Stop
from bot.releases.engine.probing import pods_to_probe
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import Step
from bot.releases.facts.release import Release
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS


def step_ends_at(release: Release) -> int | None:
    """When the current step is over its deadline, or people are reminded of it; milliseconds, None
    outside of steps."""
    step = release.current_step
    return None if step is None else _ends_at(release, step)


def _ends_at(release: Release, step: Step) -> int:
    progress = release.progress
    return progress.began_at + _patience_ms(release, step) + progress.paused_ms


def _patience_ms(release: Release, step: Step) -> int:
    """People are asked about the cluster's trouble, and asked again after as long."""
    least_ms = 2 * PATIENCE_MS if is_clusters_fault(release.progress.trouble) else 0
    return max(step.deadline_ms or MINIMUM_DEADLINE_MS, least_ms)


def watch_deadline(decision: Decision, step: Step, seen: Observation, now: int) -> Outcome:
    release = decision.release
    if seen.probe is None and pods_to_probe(release, seen):
        decision = decision.wake(now)  # to observe once more, and ask
    ends = _ends_at(release, step)
    if now < ends:
        return Stop(decision.wake(ends))
    if release.rollback is not None or step.deadline_ms is None:
        # nothing to roll back, or no reason to
        return Stop(_remind_of_step(decision, step, now))
    if is_clusters_fault(release.progress.trouble) or release.only_a_person_rolls_back:
        return Stop(_ask_again(decision, step, seen, now))
    minutes = _patience_ms(release, step) // 60_000
    struggle = struggle_of(release, seen)
    what = struggle.words if struggle is not None else _readiness(step, seen)
    cause = Cause(
        FailureClass.DEADLINE,
        f"not complete after {minutes} min ({what}){_obstacles(release)}",
        seen.events[:3],
    )
    return fail(decision, now, cause)


def _ask_again(decision: Decision, step: Step, seen: Observation, now: int) -> Decision:
    """A full cluster never ends a release, nor does time past the point of no return: a person
    does."""
    release = decision.release
    patience_ms = _patience_ms(release, step)
    why = _obstacles(release) or f"; {_readiness(step, seen)}"
    if is_clusters_fault(release.progress.trouble):
        why += "; it is not the new version's fault"
    text = f"{step.title}: still not done after {patience_ms // 60_000} min{why}. Abort, or wait?"
    again = replace(release, progress=replace(release.progress, began_at=now, paused_ms=0))
    asked = decision.changed(again).record(now, EventKind.ENVIRONMENT, text, evidence=())
    return asked.wake(now + patience_ms)


def _remind_of_step(decision: Decision, step: Step, now: int) -> Decision:
    release = decision.release
    patience_ms = _patience_ms(release, step)
    what = "still not rolled back" if release.rollback is not None else "still not done"
    text = (
        f"{what} after {patience_ms // 60_000} min: {step.title}{_obstacles(release)}; an admin may"
        " end it with abort --force"
    )
    again = replace(release, progress=replace(release.progress, began_at=now, paused_ms=0))
    return decision.changed(again).record(now, EventKind.REMINDED, text).wake(now + patience_ms)


def _obstacles(release: Release) -> str:
    trouble, probe_failure = release.progress.trouble, release.progress.probe_failure
    waits_for = release.progress.waits_for
    waiting = f"; {trouble.cause.summary}" if trouble else f"; {waits_for}" if waits_for else ""
    return waiting + (f"; {probe_failure}" if probe_failure else "")


def _readiness(step: Step, seen: Observation) -> str:
    deployment = deployment_of(seen, step.watches[0]) if step.watches else seen.stable
    if deployment is None:
        return ""
    return (
        f"{deployment.available} of {deployment.replicas} available, {deployment.updated} updated"
    )
