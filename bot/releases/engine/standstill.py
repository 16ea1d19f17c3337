"""A freeze that holds what runs: a release stands still before the next step that would bring the
new version to more people.

A roll, a switch and its settling that have begun are finished, and a way back is never stopped.
Meanwhile the hold, the expiry and the reminders of the gate stand still, and the judge goes on.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.canary_comparison import baseline_of
from bot.releases.engine.decision import Decision, enter_phase, in_gate
from bot.releases.engine.outcome import Outcome, Proceed
from bot.releases.facts.ages import duration
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.freezes import Standstill
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import HoldGate, Step
from bot.releases.facts.release import GateState, Phase, Progress, Release

ASKS_AFTER_MS = 3_600_000
"""What was held for longer continues only when a person says so."""


def step_that_waits(release: Release) -> Step | None:
    """The one that a freeze would hold up now: forward, and not yet past the point where what has
    begun is finished."""
    following = release.progress.at_step + 1
    if release.is_way_back or not 0 < following < len(release.steps):
        return None
    step = release.steps[following]
    return None if step.committed else step


def is_held(release: Release) -> bool:
    """Whether a freeze keeps the release from passing the gates of its step."""
    return release.freeze is not None and step_that_waits(release) is not None


def stand_still(decision: Decision, now: int) -> Decision:
    """The step is done, and a freeze keeps the next one from its begin."""
    release, freeze = decision.release, decision.release.freeze
    step = step_that_waits(release)
    if release.progress.gate is None:  # as one that has passed its gates: nothing is done again
        gates = release.current_step.gates if release.current_step else ()
        state = GateState(release.progress.at_step, len(gates), now)
        decision = decision.changed(in_gate(release, state))
    if release.standstill is not None or freeze is None or step is None:
        return decision
    since = min(now, max(freeze.since, release.progress.reached_at))
    stands = replace(decision.release, standstill=Standstill(since))
    text = f"held before: {step.title}. {freeze.words}"
    return decision.changed(stands).record(now, EventKind.FROZEN, text)


def follow_freeze(decision: Decision, seen: Observation, now: int) -> Outcome:
    """Once nothing holds the release any more, it continues with a fresh window; after more than an
    hour only when a person says so."""
    release, stood = decision.release, decision.release.standstill
    if stood is None or is_held(release):
        return Proceed(decision)
    if release.rollback is not None:
        return Proceed(decision.changed(replace(release, standstill=None)))
    ended = decision.changed(replace(with_fresh_window(release, seen, now), standstill=None))
    lasted = now - stood.since
    if release.phase in (Phase.PAUSED, Phase.DRIFTED):  # a person is asked already
        return Proceed(ended)
    if lasted <= ASKS_AFTER_MS:
        text = f"no freeze holds it any more, after {duration(lasted)}; continuing"
        return Proceed(ended.record(now, EventKind.RESUMED, text).wake(now))
    why = f"a freeze held it for {duration(lasted)}, and what it was planned by may have changed"
    paused = replace(
        ended.release, paused_from=release.phase, cause=Cause(FailureClass.REQUEST, why)
    )
    text = f"{why}. Resume to continue, or abort to roll back."
    asks = ended.changed(enter_phase(paused, Phase.PAUSED, now))
    return Proceed(asks.record(now, EventKind.PAUSED, text))


def next_window(decision: Decision, seen: Observation, now: int) -> Decision:
    """A window of the judge is over while a freeze holds the release: the next one begins."""
    release = with_fresh_window(decision.release, seen, now)
    stood = release.standstill
    if stood is not None:
        release = replace(release, standstill=replace(stood, windows=stood.windows + 1))
    return decision.changed(release)


def with_fresh_window(release: Release, seen: Observation, now: int) -> Release:
    """The gate as if it had just opened; its votes stay. A pause adds its own time at its end."""
    progress = release.progress
    if progress.gate is None or release.current_step is None:
        return release
    since = release.phase_since if release.phase in (Phase.PAUSED, Phase.DRIFTED) else now
    gates, index = release.current_step.gates, progress.gate.gate
    gate = gates[index] if index < len(gates) else None
    if not isinstance(gate, HoldGate):
        state = replace(progress.gate, reminded=0)
        fresh = replace(progress, gate=state, paused_ms=max(0, since - state.opened_at))
        return replace(release, progress=fresh)
    baseline = baseline_of(seen) if gate.judged else None
    state = replace(progress.gate, opened_at=since, baseline=baseline)
    return replace(release, progress=_judged_anew(replace(progress, gate=state, paused_ms=0)))


def _judged_anew(progress: Progress) -> Progress:
    """Once people were asked about the answers, they stay over."""
    answers = progress.answers
    is_over = answers is not None and answers.over
    return replace(progress, answers=answers if is_over else None, counts=())
