"""A decision: the next record, the actions at the cluster, the events to post, the time to observe
again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.releases.facts.actions import Action
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import WAITING_PHASES, GateState, Phase, Progress, Release

RESYNC_MS = 30_000
WAITING_RESYNC_MS = 600_000
"""While the release waits for people or time: a change in the cluster or a timer wakes it
sooner."""


@dataclass(frozen=True)
class Decision:
    """``refusal`` answers a request that cannot be granted now; then nothing else changes."""

    release: Release
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    wake_at: int | None = None
    refusal: str = ""

    def record(
        self,
        now: int,
        kind: EventKind,
        text: str,
        *,
        by: Person | None = None,
        evidence: tuple[str, ...] = (),
    ) -> Decision:
        step = (
            self.release.steps[self.release.progress.at_step].name
            if 0 <= self.release.progress.at_step < len(self.release.steps)
            else ""
        )
        return replace(self, events=(*self.events, Event(now, kind, text, by, step, evidence)))

    def doing(self, *actions: Action) -> Decision:
        return replace(self, actions=(*self.actions, *actions))

    def wake(self, at: int | None) -> Decision:
        if at is None:
            return self
        return replace(self, wake_at=at if self.wake_at is None else min(self.wake_at, at))

    def changed(self, release: Release) -> Decision:
        return replace(self, release=release)


def resync_ms(phase: Phase) -> int:
    return WAITING_RESYNC_MS if phase in WAITING_PHASES else RESYNC_MS


def enter_phase(release: Release, phase: Phase, now: int) -> Release:
    return release if release.phase is phase else replace(release, phase=phase, phase_since=now)


def not_counting(progress: Progress, milliseconds: int) -> Progress:
    """Deadline, hold and expiry of the current step end that much later."""
    return replace(progress, paused_ms=progress.paused_ms + milliseconds)


def in_gate(release: Release, gate: GateState | None) -> Release:
    return replace(release, progress=replace(release.progress, gate=gate))


def finish(
    decision: Decision, phase: Phase, now: int, text: str, *, by: Person | None = None
) -> Decision:
    """A final phase: recorded once, and nothing wakes it again."""
    release = replace(
        enter_phase(decision.release, phase, now),
        finished_at=now,
        progress=replace(decision.release.progress, gate=None, trouble=None),
        drift=(),
        asked=(),
    )
    text += _left_raised(release)
    recorded = decision.changed(release).record(now, EventKind.FINISHED, text, by=by)
    return replace(recorded, wake_at=None)


def _left_raised(release: Release) -> str:
    """What an end by force leaves of an autoscaler; the app's next release restores it."""
    minimum = release.minimum
    if minimum is None or minimum.left == "theirs" or minimum.to == minimum.found:
        return ""
    return (
        f"; HorizontalPodAutoscaler {minimum.autoscaler} was left with minReplicas {minimum.to},"
        f" {minimum.found} as found"
    )
