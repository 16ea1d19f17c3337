"""May the people whose approval moves this release forward still give it? Asked of Slack by the
worker, right before the effect: the click itself was answered from the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import asker_now
from bot.operations.context import Context
from bot.operations.lifecycle.prepare_release import refusal_to_start
from bot.policy.decision import button
from bot.ports import SlackUnavailable
from bot.releases.engine.decision import Decision, in_gate
from bot.releases.engine.gates import open_gate
from bot.releases.engine.respond import respond
from bot.releases.engine.standstill import is_held
from bot.releases.engine.votes import is_enough
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person, Vote
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import GateState, Phase, Release
from bot.releases.facts.requests import Refuse

SLACK_AWAY_MS = 5_000
RECORDED_AGAIN_MS = 3_600_000


@dataclass(frozen=True)
class Checked:
    """The release to decide on. ``withheld``: what people asked for at the gate, kept for when
    Slack answers again."""

    release: Release
    events: tuple[Event, ...] = ()
    withheld: GateState | None = None
    again_at: int | None = None

    def finish(self, decision: Decision) -> Decision:
        decision = replace(decision, events=(*self.events, *decision.events)).wake(self.again_at)
        gate, kept = decision.release.progress.gate, self.withheld
        if gate is None or kept is None or decision.release.phase.is_final:
            return decision
        if (gate.step, gate.gate, gate.opened_at) != (kept.step, kept.gate, kept.opened_at):
            return decision
        back = replace(
            gate,
            votes=kept.votes,
            skipped=kept.skipped,
            skipped_by=kept.skipped_by,
            unconfirmed=False,
        )
        return decision.changed(in_gate(decision.release, back))


def check_people(context: Context, release: Release) -> Checked | Decision:
    """A Decision ends the release: its starter may no longer start it, or a freeze began."""
    if not (_starts_now(release) or _passes_now(release) or _ends_hold_now(release)):
        return Checked(release)
    try:
        return _checked(context, release)
    except SlackUnavailable as away:
        return _withheld(context, release, away)


def _passes_now(release: Release) -> bool:
    gate, state = open_gate(release), release.progress.gate
    return (
        isinstance(gate, ApprovalGate)
        and state is not None
        and bool(state.votes)
        and is_enough(gate, state.votes)
        and not is_held(release)
    )


def _ends_hold_now(release: Release) -> bool:
    state = release.progress.gate
    return (
        release.phase is Phase.HOLDING
        and release.rollback is None
        and state is not None
        and state.skipped_by is not None
        and not is_held(release)
    )


def _starts_now(release: Release) -> bool:
    """Nothing was written yet, and the next decision may write."""
    if release.phase is not Phase.AWAITING_APPROVAL:
        return False
    return release.plan is None or _passes_now(release)


def _checked(context: Context, release: Release) -> Checked | Decision:
    """Raises SlackUnavailable."""
    now = context.store.now()
    if _starts_now(release) and (why := refusal_to_start(context, release)):
        return respond(release, Refuse(why), now)
    state = release.progress.gate
    if state is None:
        return Checked(release)
    if state.skipped_by is not None:
        return _hold_checked(context, release, state, state.skipped_by, now)
    kept = tuple(_counted_afresh(context, release, state.votes))
    events = tuple(
        Event(
            now,
            EventKind.REMINDED,
            f"{vote.by.display_name} may no longer approve: not counted",
            vote.by,
        )
        for vote in state.votes
        if all(one.by != vote.by for one in kept)
    )
    return Checked(in_gate(release, replace(state, votes=kept)), events)


def _counted_afresh(context: Context, release: Release, votes: tuple[Vote, ...]) -> Iterator[Vote]:
    """Those that still count, each with the groups that its giver is in now. Raises
    SlackUnavailable."""
    gate = open_gate(release)
    named = gate.voters.named if isinstance(gate, ApprovalGate) else ()
    for vote in votes:
        asker = asker_now(context, vote.by, makes_safer=False)
        if denied_now(context, asker, button("approve"), release) is None:
            yield replace(vote, groups=tuple(one for one in named if one in asker.groups))


def _hold_checked(
    context: Context, release: Release, state: GateState, by: Person, now: int
) -> Checked:
    gate = open_gate(release)
    act = "finish" if isinstance(gate, HoldGate) and gate.is_rollback_window else "promote"
    if _still_may(context, release, act, by):
        return Checked(in_gate(release, replace(state, skipped_by=None)))
    text = f"{by.display_name} may no longer end the hold: it goes its full time"
    kept = in_gate(release, replace(state, skipped=False, skipped_by=None))
    return Checked(kept, (Event(now, EventKind.REMINDED, text, by),))


def _still_may(context: Context, release: Release, act: str, by: Person) -> bool:
    """Raises SlackUnavailable."""
    asker = asker_now(context, by, makes_safer=False)
    return denied_now(context, asker, button(act), release) is None


def _withheld(context: Context, release: Release, away: SlackUnavailable) -> Checked | Decision:
    """Guards and rollback continue meanwhile; only what people asked for waits."""
    now, state = context.store.now(), release.progress.gate
    again_at = now + (away.retry_after_ms or SLACK_AWAY_MS)
    events = waits_for_slack(context, release)
    if state is None:
        return Decision(release, events=events, wake_at=again_at)
    without = replace(
        state, votes=(), skipped=False, skipped_by=None, unconfirmed=_passes_now(release)
    )
    return Checked(in_gate(release, without), events, state, again_at)


def waits_for_slack(context: Context, release: Release) -> tuple[Event, ...]:
    """Recorded once an hour."""
    key = f"{release.id} waits for Slack"
    if not context.store.put_new(key, context.runtime.new_id(), ttl_ms=RECORDED_AGAIN_MS):
        return ()
    text = "waiting for Slack to say whether the people who asked for this still may"
    return (Event(context.store.now(), EventKind.REMINDED, text),)
