"""give_up(release, why, now): Pilothouse itself cannot continue. What was written is rolled back;
where that fails too, the release ends and leaves the cluster as it is."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decision import Decision, finish
from bot.releases.engine.outcome import RollBack
from bot.releases.engine.transitions import begin_rollback
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase, Release


def give_up(release: Release, why: str, now: int) -> Decision:
    """The app's lock is free once the release is over."""
    release = replace(release, errors=None)
    cause = Cause(FailureClass.REFUSED, why)
    recorded = Decision(release).record(now, EventKind.FAILURE, why)
    if not release.has_written:
        return finish(recorded.changed(replace(release, cause=cause)), Phase.FAILED, now, why)
    step = release.current_step
    if release.rollback is None and not (step is not None and step.committed):
        return begin_rollback(RollBack(recorded, cause, Phase.ROLLED_BACK), now)
    text = f"{why}; the cluster was left as it is now: check {release.target.deployment}"
    left = Decision(replace(release, cause=cause)).record(now, EventKind.FAILURE, text)
    return finish(left, Phase.FAILED, now, text)
