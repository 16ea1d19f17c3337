"""decide(release, seen, now): what happens next to a release. Pure, total, and the same for every
strategy."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.card_snapshot import take_card_snapshot
from bot.releases.engine.begin import begin, wait_for_start
from bot.releases.engine.decision import Decision, not_counting, resync_ms
from bot.releases.engine.drift import meet_outside_changes
from bot.releases.engine.late_writes import plan_rollback
from bot.releases.engine.lost_start import (
    UNOBSERVED_MS,
    end_as_observed,
    end_unobserved,
    is_unobserved_end,
)
from bot.releases.engine.manifests import write_objects
from bot.releases.engine.minimum import follow_minimum
from bot.releases.engine.old_answers import AGAIN_MS, is_old_answer, with_generation
from bot.releases.engine.outcome import Guard, Proceed, RollBack, Stop
from bot.releases.engine.paused import stay_paused
from bot.releases.engine.reminders import remind
from bot.releases.engine.rewrite import rewrite_drifted
from bot.releases.engine.standstill import follow_freeze
from bot.releases.engine.steps import run_steps
from bot.releases.engine.transitions import roll_back
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation, Seen, Unreachable
from bot.releases.facts.release import Outage, Phase, Release

GUARDS: tuple[Guard, ...] = (
    plan_rollback,
    write_objects,
    meet_outside_changes,
    rewrite_drifted,
    wait_for_start,
    write_objects,
    follow_minimum,
    follow_freeze,
    stay_paused,
)
"""The order of a decision is the order of its dangers: is a rollback due; did something outside
Pilothouse change what the release depends on; is it still waiting for its start; is a freeze over;
is it paused. Only then: what does the current step still need? The objects of an `/apply` come
before both the drift, which they would look like, and the first step."""


def decide(release: Release, seen: Seen, now: int) -> Decision:
    """One observation of the cluster, one decision. A final release does nothing; one without
    as-found facts writes nothing."""
    if release.phase.is_final:
        return Decision(release)
    if isinstance(seen, Unreachable):
        return remind(_hold_for_outage(release, seen, now), now)
    decision = _end_outage(Decision(release), now)
    release = decision.release
    if is_old_answer(release, seen, now):
        return decision.wake(now + AGAIN_MS)
    release = with_generation(release, seen, now)
    decision = decision.changed(replace(release, card_snapshot=take_card_snapshot(release, seen)))
    if release.plan is None or release.as_found is None:
        return end_as_observed(release, seen, begin(decision, seen, now), now)
    decision = _continue_release(decision, seen, now)
    if decision.release.phase.is_final:
        return decision
    return remind(decision.wake(now + resync_ms(decision.release.phase)), now)


def decide_end(before: Release, seen: Seen, ended: Decision, now: int) -> Decision:
    """``ended``, a Decision on ``before`` without the cluster: a rollback comes first where the
    release has written, and while the cluster does not answer it is waited for."""
    if not is_unobserved_end(before, ended):
        return ended
    if isinstance(seen, Observation):
        return end_as_observed(before, seen, ended, now)
    away = before.unreachable
    if away is not None and now - away.since >= UNOBSERVED_MS:
        return end_unobserved(before, ended)
    return decide(before, seen, now)


def _continue_release(decision: Decision, seen: Observation, now: int) -> Decision:
    for guard in GUARDS:
        outcome = guard(decision, seen, now)
        match outcome:
            case Proceed():
                decision = outcome.decision
            case Stop():
                return outcome.decision
            case RollBack():
                return run_steps(roll_back(outcome, seen, now), seen, now)
    return run_steps(decision, seen, now)


def _hold_for_outage(release: Release, seen: Unreachable, now: int) -> Decision:
    since = release.unreachable.since if release.unreachable else now
    wait = min(15_000, max(1_000, (now - since) // 2))
    decision = Decision(replace(release, unreachable=Outage(since, seen.why)), wake_at=now + wait)
    if release.unreachable is not None:
        return decision
    return decision.record(
        now,
        EventKind.UNREACHABLE,
        f"{release.target.cluster} is unreachable ({seen.why}): holding, nothing changes meanwhile",
    )


def _end_outage(decision: Decision, now: int) -> Decision:
    release = decision.release
    if release.unreachable is None:
        return decision
    # a pause and a drift leave their own time out already
    stands_still = release.phase in (Phase.PAUSED, Phase.DRIFTED)
    away = 0 if stands_still else now - release.unreachable.since
    release = replace(release, unreachable=None, progress=not_counting(release.progress, away))
    return decision.changed(release).record(
        now, EventKind.REACHABLE, f"{release.target.cluster} answers again"
    )
