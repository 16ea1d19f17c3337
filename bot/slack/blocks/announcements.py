"""Events as messages: a quiet line in the card's thread, or a loud message of its own for a failure
or a decision that needs people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bot.ports import Message
from bot.releases.assess.result import fell_back_to
from bot.releases.engine.gates import open_gate
from bot.releases.engine.queue import held_until
from bot.releases.facts.ages import duration
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.counts import counted
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.fleet import ASKED_BY_FLEET
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.approvals import (
    approval_message,
    gate_asked_for,
    who_may_answer,
)
from bot.slack.blocks.buttons import buttons_of, held_buttons
from bot.slack.blocks.chart import chart_words, charts_of, points_of
from bot.slack.blocks.elements import Block, actions, context, preformatted, section, top_text
from bot.slack.blocks.links import query_link
from bot.slack.blocks.tables import pods_table, table_message
from bot.slack.blocks.words import capitalised, change_words, phase_words
from bot.slack.markup import clock, code, date, escape, link, mention, plain

SHOWN_LINES = 10


_SHOWN_ON_THE_CARD = frozenset({EventKind.CREATED, EventKind.STEP_BEGAN, EventKind.WROTE})
_MARKS: dict[EventKind, str] = {
    EventKind.REFUSED: "❌",
    EventKind.REMINDED: "⚠️",
    EventKind.ENVIRONMENT: "⚠️",
    EventKind.DRIFTED: "⚠️",
    EventKind.PROBE_FAILED: "⚠️",
    EventKind.QUEUED: "ℹ️",
    EventKind.HELD: "⏸️",
    EventKind.UNREACHABLE: "ℹ️",
    EventKind.REACHABLE: "ℹ️",
    EventKind.DRIFT_ENDED: "ℹ️",
    EventKind.STEP_DONE: "✔️",
    EventKind.GATE_PASSED: "✔️",
    EventKind.VOTED: "✔️",
    EventKind.RESUMED: "✔️",
    EventKind.GATE_OPENED: "✋",
    EventKind.JUDGED: "🔎",
    EventKind.PROBED: "🔎",
    EventKind.FROZEN: "🧊",
    EventKind.PAUSED: "⏸️",
    EventKind.ROLLING_BACK: "↩️",
    EventKind.CANCELLED: "⏹️",
}
_FOR_THE_STARTER = frozenset(
    {EventKind.REFUSED, EventKind.ENVIRONMENT, EventKind.DRIFTED, EventKind.PROBE_FAILED}
)


_ASKED_ABOUT = frozenset({FailureClass.VERDICT, FailureClass.REQUEST})


def announcement(
    release: Release, event: Event, approvers: Sequence[str] = (), card: str = ""
) -> tuple[Message, bool] | None:
    """(message, loud); None where the card alone shows the event.

    ``approvers``: ids of people and groups whom a reminder mentions. ``card``: the card's address,
    for a message outside its thread.
    """
    if event.kind in _SHOWN_ON_THE_CARD:
        return None
    if event.kind is EventKind.PLANNED:
        return _planned(release)
    if event.kind is EventKind.GATE_PASSED and event.by is None:
        return None  # the last vote was posted already
    if event.kind is EventKind.EVIDENCE:
        return (_logs(release), False) if release.rules.evidence_logs == "channel" else None
    if event.kind in _LOUD:
        return _LOUD[event.kind](release, event, card), True
    if event.kind is EventKind.FINISHED:
        return _finished(release, event, card)
    gate = gate_asked_for(release, event) if _asks_for_approval(release, event) else None
    if gate is not None and release.part_of and gate.name in ASKED_BY_FLEET:
        return None  # the fleet asks, once for all parts of the wave
    if gate is not None:
        return approval_message(release, event, gate, approvers, card), True
    if _needs_decision(release, event):
        return _decision(release, event, card), True
    people = _mentioned(release, event, approvers)
    line = _line(event, _MARKS[event.kind], mentions=people)
    query = _query(release, event) if event.kind is EventKind.JUDGED else ""
    return (replace(line, blocks=(*line.blocks, context(query))) if query else line), False


def _overrode(release: Release, event: Event, card: str) -> Message:
    what = change_words(release)
    blocks = (
        section(f"⚠️ *{plain(what, 300)}*\n{plain(event.text, 1_500)}"),
        context(_card_link(release, card)),
    )
    return Message(top_text([escape(f"{what}: {event.text}")]), blocks)


def _planned(release: Release) -> tuple[Message, bool] | None:
    """What the planner noted: in the thread once, and not on every edit of the card."""
    notes = release.plan.notes if release.plan is not None else ()
    if not notes:
        return None
    lines = [f"• {plain(note, 400)}" for note in notes[:SHOWN_LINES]]
    if more := len(notes) - len(lines):
        lines.append(f"and {counted(more, 'more note')}")
    text = top_text(["About the plan:", *(escape(note) for note in notes[:SHOWN_LINES])])
    return Message(text, (section("\n".join(["📋 *About the plan*", *lines])),)), False


def _asks_for_approval(release: Release, event: Event) -> bool:
    """A gate opened, or a first reminder in the thread was not enough."""
    state = release.progress.gate
    if event.kind is EventKind.REMINDED:
        return state is not None and state.reminded > 1
    return event.kind is EventKind.GATE_OPENED


def _needs_decision(release: Release, event: Event) -> bool:
    """The candidate was judged less than good, or a freeze held the release for long, so it paused
    by itself; or a fleet did."""
    cause = release.cause
    paused_by_itself = event.kind is EventKind.PAUSED and event.by is None
    asks = release.fleet is not None or (cause is not None and cause.failure in _ASKED_ABOUT)
    return paused_by_itself and cause is not None and asks


def _mentioned(release: Release, event: Event, approvers: Sequence[str]) -> Sequence[str]:
    if event.kind is EventKind.REMINDED:
        return _who_may_act(release, approvers)
    return (release.requested_by.user,) if event.kind in _FOR_THE_STARTER else ()


def _who_may_act(release: Release, approvers: Sequence[str]) -> Sequence[str]:
    gate = open_gate(release)
    waits = release.phase in (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)
    if not isinstance(gate, ApprovalGate) or not waits:
        return (release.requested_by.user,)
    return who_may_answer(release, gate, approvers)


def _line(event: Event, mark: str, *, mentions: Sequence[str] = ()) -> Message:
    # Last, and introduced: a name in front would read as the one who did it.
    who = " ".join(mention(one) for one in mentions)
    to = f"\nFor {who}" if who else ""
    shown = f"{mark} {plain(event.text, 1_500)}{to}"
    blocks: list[Block] = [section(shown)]
    if event.evidence and event.kind is not EventKind.ROLLING_BACK:
        blocks.append(_evidence(event.evidence))
    return Message(
        top_text([f"{escape(event.text)}{to}", *(escape(line) for line in event.evidence)]),
        tuple(blocks),
    )


def _evidence(lines: tuple[str, ...]) -> Block:
    return preformatted("\n".join(line[:300] for line in lines[:SHOWN_LINES]))


def _failure(release: Release, event: Event, card: str) -> Message:
    """Cause first, then the evidence, then what was done about it. Mentions the starter, and whom
    the catalog names."""
    starter = mention(release.requested_by.user)
    also = release.rules.mention
    who = f"{starter} {mention(also)}" if also else starter
    what = change_words(release)
    head = f"❌ *{plain(what, 300)} failed*\n*Why:* {plain(event.text, 1_500)}"
    blocks: list[Block] = [section(head)]
    evidence = event.evidence or (release.cause.evidence if release.cause else ())
    if evidence:
        blocks.append(_evidence(evidence))
    cause = release.cause
    crashed = cause is not None and cause.failure is FailureClass.PERSISTENT and cause.pods
    if crashed and release.rules.evidence_logs == "starter":
        blocks.append(context(f"The last log lines go only to {starter}."))
    done = _consequence(release, event)
    blocks.append(section(f"*Then:* {_with_dates(release, done)} {who}"))
    buttons = buttons_of(release) if _still_asks(release, event) else []
    if buttons:
        blocks.append(actions(buttons))
    links = (_card_link(release, card), _query(release, event))
    blocks.append(context(" · ".join(one for one in links if one)))
    lines = [f"{what} failed: {event.text}", *evidence[:SHOWN_LINES]]
    return Message(
        top_text([*(escape(line) for line in lines), f"{escape(done)} {who}"]), tuple(blocks)
    )


def _logs(release: Release) -> Message:
    """In the thread, after the failure: reading them never delays it."""
    cause = release.cause
    pod = cause.pods[0] if cause is not None and cause.pods else "a failed pod"
    lines = cause.logs[:SHOWN_LINES] if cause is not None else ()
    told = top_text([f"The last log lines of {escape(pod)}", *(escape(line) for line in lines)])
    blocks: list[Block] = [section(f"📄 The last log lines of {code(pod)}")]
    if lines:
        blocks.append(_evidence(lines))
    return Message(told, tuple(blocks))


def _decision(release: Release, event: Event, card: str) -> Message:
    """Nothing failed, but the comparison with stable was not good: a person decides."""
    who, what = mention(release.requested_by.user), change_words(release)
    if not _still_asks(release, event):
        return _decided(release, event, card)
    blocks: list[Block] = [
        section(f"⚠️ *{plain(what, 300)} needs a decision*\n{plain(event.text, 1_500)} {who}")
    ]
    if buttons := buttons_of(release):
        blocks.append(actions(buttons))
    links = (_card_link(release, card), _query(release, event))
    blocks.append(context(" · ".join(one for one in links if one)))
    line = f"{what} needs a decision: {event.text}"
    return Message(top_text([f"{escape(line)} {who}"]), tuple(blocks))


def _held(release: Release, event: Event, card: str) -> Message:
    """One message for all versions that one release holds; it mentions who queued them."""
    held, app = release.held, release.target.label
    if held is None or release.phase.is_final:
        done = capitalised(phase_words(release)) if release.phase.is_final else "Continued"
        line = f"{event.text}. {done}."
        blocks = (
            section(f"✔️ *{plain(app)}:* {plain(line, 1_500)}"),
            context(_card_link(release, card)),
        )
        return Message(top_text([f"{escape(app)}: {escape(line)}"]), blocks)
    who = " ".join(mention(one.user) for one in held.people)
    ends, until = held_until(release) or 0, "Dropped at {} if nobody decides."
    line = f"{event.text}. Continue, or drop?"
    return Message(
        top_text([f"{escape(app)}: {escape(line)} {until.format(clock(ends))}\nFor {who}"]),
        (
            section(
                f"⏸️ *{plain(app)}:* {plain(line, 1_500)}\n{until.format(date(ends))}\nFor {who}"
            ),
            actions(held_buttons(release, all_of_them=True)),
            context(_card_link(release, card)),
        ),
    )


def _decided(release: Release, event: Event, card: str) -> Message:
    what, done = change_words(release), _consequence(release, event)
    blocks = (
        section(f"✔️ *{plain(what, 300)} needed a decision*\n{plain(event.text, 1_500)}"),
        section(f"*Then:* {_with_dates(release, done)}"),
        context(_card_link(release, card)),
    )
    return Message(top_text([escape(f"{what} needed a decision: {done}")]), blocks)


def _still_asks(release: Release, event: Event) -> bool:
    """The pause that the event led to is not over."""
    return release.phase is Phase.PAUSED and release.phase_since <= event.at


def _card_link(release: Release, card: str) -> str:
    return link(card, f"Card of {release.id}") if card else code(release.id)


def _query(release: Release, event: Event) -> str:
    """To the numbers of the verdict that the event is about; "" where it has none."""
    about = (one for one in release.judgements if one.detail in event.text)
    return next((found for one in about if (found := query_link(one))), "")


def _consequence(release: Release, event: Event) -> str:
    """What follows from a failure; once that is over, how it ended."""
    before = release.from_version or "the previous version"
    if release.phase.is_final:
        return _ending(release, event)
    if release.rollback is not None:
        return f"Rolling back to {before}."
    if release.phase in (Phase.PAUSED, Phase.DRIFTED):
        return "Paused: nothing changes meanwhile. Resume to continue, or abort to roll back."
    if release.phase_since > event.at:
        return f"The release continued: {phase_words(release)}."
    return "The failed pods were scaled to 0; stable keeps serving."


def _ending(release: Release, event: Event) -> str:
    """``Rolled back: hello is on 1.0.0, at 22:58 (1 s). Nothing to do.``"""
    took = duration(release.finished_at - event.at)
    over = f"{capitalised(phase_words(release))}, at {clock(release.finished_at)} ({took})."
    is_well = release.phase is not Phase.FAILED and (
        release.rollback is None or fell_back_to(release)[1]
    )
    return f"{over} Nothing to do." if is_well else over


def _with_dates(release: Release, text: str) -> str:
    """The end as a moment in each reader's zone."""
    return plain(text, 600).replace(
        f"at {clock(release.finished_at)}", f"at {date(release.finished_at)}"
    )


def _finished(release: Release, event: Event, card: str) -> tuple[Message, bool] | None:
    """Outside the card's thread it leads there instead of listing pods."""
    if (
        release.cause is not None
        and release.cause.failure is FailureClass.REFUSED
        and release.phase is Phase.FAILED
    ):
        return None  # the refusal was posted already
    took = f", took {duration(release.took_ms)}" if release.took_ms is not None else ""
    mark = "✅" if release.phase is Phase.SUCCEEDED else "⏹️"
    who = mention(release.requested_by.user)
    text = event.text.removesuffix(".")
    stop = "." if text != event.text else ""
    line = f"{mark} {who} {plain(text, 1_500)}{took}{stop}"
    message = Message(top_text([f"{who} {escape(text)}{took}{stop}"]), (section(line),))
    if points := points_of(release):
        words = chart_words(release, points)
        drawn = (*charts_of(release, points), context(plain(words, 1_500)))
        message = Message(top_text([message.text, escape(words)]), (*message.blocks, *drawn))
    if card:
        there = context(_card_link(release, card))
        return Message(message.text, (*message.blocks, there)), False
    if release.card_snapshot.pods:
        table = table_message((pods_table(release, now=event.at),))
        message = Message(message.text, (*message.blocks, *table.blocks))
    return message, False


_LOUD: Mapping[EventKind, Callable[[Release, Event, str], Message]] = {
    EventKind.FAILURE: _failure,
    EventKind.HELD: _held,
    EventKind.OVERRODE: _overrode,
}
