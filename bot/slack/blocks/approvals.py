"""An approval that is asked for: one message that mentions those who may answer, with the buttons.
Answered, it says who decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.ports import Message
from bot.releases.engine.gates import expires_at, open_gate
from bot.releases.facts.counts import counted
from bot.releases.facts.events import Event
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.buttons import ACTION_PREFIX, buttons_of
from bot.slack.blocks.elements import Block, actions, context, section, top_text
from bot.slack.blocks.words import (
    capitalised,
    change_words,
    phase_words,
    shown_percent,
    uncapitalised,
    verdict_words,
)
from bot.slack.markup import code, date, escape, link, mention, plain

MAX_MENTIONS = 5
ANSWERS = (f"{ACTION_PREFIX}approve", f"{ACTION_PREFIX}reject")
_WAITING = (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)


def gate_asked_for(release: Release, event: Event) -> ApprovalGate | None:
    """The gate that the event opened, or reminded of."""
    plan = release.plan
    if plan is None:
        return None
    steps = [step for step in (*plan.steps, *release.steps) if step.name == event.step]
    gates = plan.start if not event.step else [gate for step in steps for gate in step.gates]
    named = (gate for gate in gates if isinstance(gate, ApprovalGate))
    return next((gate for gate in named if event.text.endswith(f": {_title(gate)}")), None)


def who_may_answer(
    release: Release, gate: ApprovalGate, approvers: Sequence[str]
) -> tuple[str, ...]:
    """The approvers; the starter where the starter may open the gate and no approver is named."""
    starter = release.requested_by.user
    if gate.role == "deployer":
        return (starter,)
    if gate.voters.any_of:
        approvers = gate.voters.named
    elif gate.voters.one_from_each:
        approvers = (*gate.voters.one_from_each, *approvers)
    may_too = gate.requester_may_approve and not release.requested_by.caller
    others = tuple(one for one in approvers if one != starter or may_too)
    return others[:MAX_MENTIONS] or (starter,)


def approval_message(
    release: Release, event: Event, gate: ApprovalGate, approvers: Sequence[str], card: str
) -> Message:
    if not _is_open(release, event, gate):
        return _answered(release, gate, card)
    what, ask = change_words(release), capitalised(_title(gate))
    who = " ".join(mention(one) for one in who_may_answer(release, gate, approvers))
    waits = f"waiting for {counted(gate.quorum, 'approval')}"
    lines = [f"✋ *{plain(what, 300)}: {waits}*", f"*{plain(ask, 300)}?* {who}"]
    answers = [one for one in buttons_of(release) if one["action_id"] in ANSWERS]
    blocks: list[Block] = [
        section("\n".join([*lines, *_facts(release, gate)])),
        actions(answers),
        context(f"{_card_link(release, card)} · started by {_starter(release)}{_reason(release)}"),
    ]
    text = f"{what}: {waits}: {uncapitalised(_title(gate))}"
    return Message(top_text([f"{escape(text)} {who}"]), tuple(blocks))


def _facts(release: Release, gate: ApprovalGate) -> Iterator[str]:
    """What a decision needs: how far it is, how it does, who agreed, what time does to it."""
    share = shown_percent(release)
    if share is not None:
        yield f"{share}% of traffic to {plain(release.to_version)} now"
    if release.judgements:
        last = release.judgements[-1]
        yield f"Last verdict: *{verdict_words(last)}*, {plain(last.detail, 300)}"
    votes = release.progress.gate.votes if release.progress.gate else ()
    if votes:
        names = ", ".join(plain(vote.by.display_name, 100) for vote in votes)
        yield f"{len(votes)} of {gate.quorum} approved: {names}"
    ends = expires_at(release, gate)
    if ends is not None and gate.on_expiry == "abort":
        yield f"Aborts if not approved by {date(ends)}."


def _is_open(release: Release, event: Event, gate: ApprovalGate) -> bool:
    state = release.progress.gate
    return (
        release.phase in _WAITING
        and state is not None
        and state.opened_at <= event.at
        and open_gate(release) == gate
    )


def _answered(release: Release, gate: ApprovalGate, card: str) -> Message:
    what = change_words(release)
    mark, answer = _answer(release, gate)
    line = f"{mark} *{plain(what, 300)}*\n{plain(capitalised(_title(gate)), 300)}: {plain(answer)}"
    text = f"{what}: {uncapitalised(_title(gate))}: {answer}"
    return Message(escape(text), (section(line), context(_card_link(release, card))))


def _answer(release: Release, gate: ApprovalGate) -> tuple[str, str]:
    prefix = f"{gate.name}: "
    by = next((one for one in reversed(release.passed) if one.startswith(prefix)), "")
    if by:
        return "✔️", f"approved by {by.removeprefix(prefix)}"
    if release.cause is not None and (release.phase.is_final or release.rollback is not None):
        return "⏹️", release.cause.summary
    return "⏸️", phase_words(release)


def _title(gate: ApprovalGate) -> str:
    return gate.title or gate.name


def _starter(release: Release) -> str:
    return plain(release.requested_by.display_name, 100)


def _reason(release: Release) -> str:
    return f": {plain(release.reason, 300)}" if release.reason else ""


def _card_link(release: Release, card: str) -> str:
    return link(card, f"Card of {release.id}") if card else code(release.id)
