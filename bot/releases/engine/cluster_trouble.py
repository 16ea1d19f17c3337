"""The cluster, not the new version, keeps pods from starting: shown, asked about, never rolled back
for."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decision import Decision, not_counting
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import ClusterTrouble, Release

PATIENCE_MS = 300_000


def record_trouble(decision: Decision, cause: Cause | None, now: int) -> Decision:
    """``cause`` None: there is none, or it is over. People are asked once, after PATIENCE_MS; not
    about what the new version itself asks of the cluster: that ends at the deadline."""
    release = decision.release
    known = release.progress.trouble
    if cause is None or cause.failure is not FailureClass.ENVIRONMENT:
        decision = decision.changed(_without_its_time(release, now))
        release = decision.release
        known = None if is_clusters_fault(known) else known
    if cause is None:
        return decision.changed(_with_trouble(release, None))
    trouble = replace(known, cause=cause) if known else ClusterTrouble(cause, now)
    if trouble.asked or not is_clusters_fault(trouble):
        return decision.changed(_with_trouble(release, trouble))
    if now - trouble.since < PATIENCE_MS:
        waiting = decision.changed(_with_trouble(release, trouble))
        return waiting.wake(trouble.since + PATIENCE_MS)
    text = (
        f"waiting for {(now - trouble.since) // 60_000} min: {cause.summary}; it is not the new"
        " version's fault. Abort, or wait?"
    )
    asked = decision.record(now, EventKind.ENVIRONMENT, text, evidence=cause.evidence)
    return asked.changed(_with_trouble(release, replace(trouble, asked=True)))


def _without_its_time(release: Release, now: int) -> Release:
    """The cluster's trouble is over: the step's deadline ends that much later, as after a pause."""
    progress = release.progress
    if progress.trouble is None or not is_clusters_fault(progress.trouble):
        return release
    counted = max(0, now - progress.began_at - progress.paused_ms)
    lasted = min(counted, now - max(progress.trouble.since, progress.began_at))
    return replace(release, progress=not_counting(progress, lasted))


def is_clusters_fault(trouble: ClusterTrouble | None) -> bool:
    return trouble is not None and trouble.cause.failure is FailureClass.ENVIRONMENT


def _with_trouble(release: Release, trouble: ClusterTrouble | None) -> Release:
    if release.progress.trouble == trouble:
        return release
    return replace(release, progress=replace(release.progress, trouble=trouble))
