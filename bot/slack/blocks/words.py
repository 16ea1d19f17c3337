"""A release in words: what it is, how far it is, what it waits for. Shared by card, announcements,
listings, home and terminal."""

from __future__ import annotations

from typing import assert_never

from bot.releases.engine.gates import open_gate
from bot.releases.facts.changes import Deploy, Reapply, Restart, Scale, Undo
from bot.releases.facts.counts import counted
from bot.releases.facts.plan import HoldGate, Step
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.slack.markup import duration

MARKS: dict[Phase, str] = {
    Phase.QUEUED: "⏳",
    Phase.AWAITING_APPROVAL: "✋",
    Phase.PROGRESSING: "🚢",
    Phase.HOLDING: "⏱️",
    Phase.AWAITING_PROMOTION: "✋",
    Phase.PAUSED: "⏸️",
    Phase.DRIFTED: "⚠️",
    Phase.ROLLING_BACK: "↩️",
    Phase.SUCCEEDED: "✅",
    Phase.ROLLED_BACK: "↩️",
    Phase.ABORTED: "⏹️",
    Phase.FAILED: "❌",
    Phase.REJECTED: "🚫",
    Phase.EXPIRED: "⌛",
}


def change_words(release: Release) -> str:
    """``hello 1.0.0 → 2.0.0 canary``: what the release does, in one breath."""
    app, before, after = release.target.app, release.from_version, release.to_version
    match release.change:
        case Deploy(version=version):
            arrow = f"{before} → {after}" if before else f"→ {version_word(version)}"
            return f"{app} {arrow} {release.strategy.value}"
        case Scale(replicas=replicas):
            return f"{app} {before} → {after}" if before else f"{app} → {counted(replicas, 'pod')}"
        case Restart():
            return f"{app} restart" + (f" of {before}" if before else "")
        case Undo(to_revision=revision):
            to = after or (f"revision {revision}" if revision else "the version before")
            return f"{app} {before} → {to} undo" if before else f"{app} undo to {to}"
        case Reapply():
            return f"{app} apply" + (f" on {after}" if after else "")
        case _ as never:
            assert_never(never)


def colour_of(release: Release, role: str) -> str:
    """stable and candidate; of blue/green the colours that people see in the Deployments' names,
    also after they have changed places."""
    if release.strategy is not Strategy.BLUEGREEN:
        return role
    is_green = bool(release.target.idle) == (role == "stable")
    return "green" if is_green else "blue"


def version_word(version: str) -> str:
    """The tag of a full image, the first digits of a digest."""
    if version.startswith("sha256:"):
        return version[7:19]
    tail = version.rpartition("/")[2]
    return tail.rpartition(":")[2] if ":" in tail else version


def phase_words(release: Release) -> str:
    app, before = release.target.app, release.from_version or "the version before"
    went_back = bool(release.started_at) and release.rollback is not None
    match release.phase:
        case Phase.QUEUED:
            return f"waiting for {release.queued_behind}" if release.queued_behind else "starting"
        case Phase.AWAITING_APPROVAL:
            return "waiting for approval to start"
        case Phase.PROGRESSING:
            return "in progress"
        case Phase.HOLDING:
            gate = open_gate(release)
            return (
                "keeping the way back open"
                if isinstance(gate, HoldGate) and gate.is_rollback_window
                else "holding"
            )
        case Phase.AWAITING_PROMOTION:
            return "waiting for approval"
        case Phase.PAUSED:
            return "paused: a person decides" if release.cause else "paused"
        case Phase.DRIFTED:
            return "changed past the release, holding"
        case Phase.ROLLING_BACK:
            return f"going back to {before}"
        case Phase.SUCCEEDED:
            return _success_words(release)
        case Phase.ROLLED_BACK:
            return f"rolled back: {app} is on {before}"
        case Phase.ABORTED:
            return f"aborted: {app} is on {before}" if went_back else "aborted"
        case Phase.FAILED:
            return "not started" if release.plan is None else "failed"
        case Phase.REJECTED:
            return f"rejected: {app} is on {before}" if went_back else "rejected"
        case Phase.EXPIRED:
            return "expired: nobody approved in time" + (
                f", {app} is on {before}" if went_back else ""
            )
        case _ as never:
            assert_never(never)


def _success_words(release: Release) -> str:
    app = release.target.app
    match release.change:
        case Scale(replicas=replicas):
            return f"{app} has {counted(replicas, 'pod')}"
        case Restart():
            return f"{app} was restarted"
        case Reapply():
            return f"{app} is as its manifests say"
        case _:
            return f"{app} is on {release.to_version}"


def step_of(release: Release) -> Step | None:
    return release.current_step


def progress(release: Release) -> tuple[int, int] | None:
    """(new pods that are ready, pods wanted) of a roll; None before anything was seen."""
    seen = release.card_snapshot
    if not seen.versions and not seen.desired:
        return None
    if isinstance(release.change, Scale):
        return seen.available, release.change.replicas
    return (
        sum(count.ready for count in seen.versions if count.is_new and count.side == "stable"),
        seen.desired,
    )


def percent(release: Release) -> int | None:
    """How far: the candidate's share of the traffic, or the part of a roll that is ready."""
    if release.strategy is not Strategy.ROLLING:
        if release.card_snapshot.share is not None:
            return release.card_snapshot.share
        if release.plan is None or release.progress.at_step < 1:
            return None
    counted = progress(release)
    if counted is None or not counted[1]:
        return None
    return min(100, 100 * counted[0] // counted[1])


def shown_percent(release: Release) -> int | None:
    """Nothing while nothing was begun, and nothing when it is over."""
    begun = not release.phase.is_final and release.phase not in (
        Phase.QUEUED,
        Phase.AWAITING_APPROVAL,
    )
    return percent(release) if begun else None


def headline(release: Release) -> str:
    """The line a phone's notification shows: ``hello 1.0.0 → 2.0.0 canary · 40 % · waiting for
    approval``."""
    parts = [change_words(release)]
    share = shown_percent(release)
    if share is not None:
        parts.append(f"{share} %")
    parts.append(phase_words(release))
    if release.phase.is_final and release.started_at:
        parts.append(f"took {duration(release.finished_at - release.started_at)}")
    return " · ".join(parts)
