"""What happened, told: one quiet line in the card's thread, or a loud message of its own for a
failure that people must act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from bot.ports import Message
from bot.releases.engine.gates import open_gate
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.buttons import buttons_of
from bot.slack.blocks.elements import Block, actions, context, preformatted, section, top_text
from bot.slack.blocks.tables import pods_table, table_message
from bot.slack.blocks.words import change_words, phase_words
from bot.slack.markup import code, duration, escape, link, mention, plain

SHOWN_LINES = 10
MAX_MENTIONS = 5


def announcement(
    release: Release, event: Event, approvers: Sequence[str] = (), card: str = ""
) -> tuple[Message, bool] | None:
    """(message, loud). None where the card alone tells it. ``approvers``: ids of people and groups
    whom a reminder calls; ``card``: the card's address, for what does not stand in its thread."""
    match event.kind:
        case EventKind.CREATED | EventKind.PLANNED | EventKind.STEP_BEGAN | EventKind.WROTE:
            return None
        case EventKind.FAILURE:
            return _failure(release, event, card), True
        case EventKind.PAUSED if (
            event.by is None
            and release.cause is not None
            and release.cause.failure is FailureClass.VERDICT
        ):
            return _question(release, event, card), True
        case EventKind.FINISHED:
            return _finished(release, event)
        case EventKind.REFUSED:
            return _line(event, "❌", calls=(release.requested_by.user,)), False
        case EventKind.REMINDED:
            return _line(event, "⚠️", calls=_who_may_answer(release, approvers)), False
        case EventKind.ENVIRONMENT | EventKind.DRIFTED | EventKind.PROBE_FAILED:
            return _line(event, "⚠️", calls=(release.requested_by.user,)), False
        case EventKind.QUEUED | EventKind.UNREACHABLE | EventKind.REACHABLE | EventKind.DRIFT_ENDED:
            return _line(event, "ℹ️"), False
        case EventKind.GATE_PASSED if event.by is None:
            return None  # the last vote told it
        case EventKind.STEP_DONE | EventKind.GATE_PASSED | EventKind.VOTED | EventKind.RESUMED:
            return _line(event, "✔️"), False
        case EventKind.GATE_OPENED:
            return _line(event, "✋"), False
        case EventKind.JUDGED | EventKind.PROBED:
            return _line(event, "🔎"), False
        case EventKind.PAUSED:
            return _line(event, "⏸️"), False
        case EventKind.ROLLING_BACK:
            return _line(event, "↩️"), False
        case EventKind.CANCELLED:
            return _line(event, "⏹️"), False
        case _ as never:
            assert_never(never)


def _who_may_answer(release: Release, approvers: Sequence[str]) -> Sequence[str]:
    """Those who can open the gate; its starter where that is enough, or where nobody is named."""
    starter, gate = release.requested_by.user, open_gate(release)
    asks = (
        isinstance(gate, ApprovalGate)
        and gate.role == "approver"
        and not gate.requester_may_approve
    )
    if not asks or release.phase not in (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION):
        return (starter,)
    return tuple(one for one in approvers if one != starter)[:MAX_MENTIONS] or (starter,)


def _line(event: Event, mark: str, *, calls: Sequence[str] = ()) -> Message:
    who = "".join(f"{mention(one)} " for one in calls)
    shown = f"{mark} {who}{plain(event.text, 1_500)}"
    blocks: list[Block] = [section(shown)]
    if event.evidence and event.kind is not EventKind.ROLLING_BACK:
        blocks.append(_evidence(event.evidence))
    return Message(
        top_text([f"{who}{escape(event.text)}", *(escape(line) for line in event.evidence)]),
        tuple(blocks),
    )


def _evidence(lines: tuple[str, ...]) -> Block:
    return preformatted("\n".join(line[:300] for line in lines[:SHOWN_LINES]))


def _failure(release: Release, event: Event, card: str) -> Message:
    """Cause first, evidence next, then what was done about it; mentions who must act."""
    who = mention(release.requested_by.user)
    what = change_words(release)
    head = f"❌ *{plain(what, 300)} failed*\n*Why:* {plain(event.text, 1_500)}"
    blocks: list[Block] = [section(head)]
    evidence = event.evidence or (release.cause.evidence if release.cause else ())
    if evidence:
        blocks.append(_evidence(evidence))
    found = release.cause.logs[:SHOWN_LINES] if release.cause else ()
    logs = found if release.rules.evidence_logs == "channel" else ()
    if logs:
        blocks.append(preformatted("\n".join(line[:300] for line in logs)))
    elif found and release.rules.evidence_logs == "starter":
        blocks.append(context(f"The last log lines went to {who} alone."))
    done = _done_about_it(release)
    blocks.append(section(f"*Then:* {plain(done, 600)} {who}"))
    buttons = buttons_of(release) if release.phase is Phase.PAUSED else []
    if buttons:
        blocks.append(actions(buttons))
    blocks.append(context(_card_link(release, card)))
    told = [f"{what} failed: {event.text}", *evidence[:SHOWN_LINES], *logs]
    return Message(
        top_text([*(escape(line) for line in told), f"{escape(done)} {who}"]), tuple(blocks)
    )


def _question(release: Release, event: Event, card: str) -> Message:
    """A verdict that is not good: nothing failed, and a person decides on what the comparison
    showed."""
    who, what = mention(release.requested_by.user), change_words(release)
    blocks: list[Block] = [
        section(f"⚠️ *{plain(what, 300)} asks*\n{plain(event.text, 1_500)} {who}")
    ]
    if buttons := buttons_of(release):
        blocks.append(actions(buttons))
    blocks.append(context(_card_link(release, card)))
    return Message(top_text([f"{escape(f'{what} asks: {event.text}')} {who}"]), tuple(blocks))


def _card_link(release: Release, card: str) -> str:
    return link(card, f"Card of {release.id}") if card else code(release.id)


def _done_about_it(release: Release) -> str:
    before = release.from_version or "the version before"
    if release.phase.is_final:
        return f"{phase_words(release)}."
    if release.rollback is not None:
        return f"It is being taken back to {before}."
    if release.phase in (Phase.PAUSED, Phase.DRIFTED):
        return (
            "It is paused, nothing is changed meanwhile: resume to go on, or abort to take it back."
        )
    return "The failed pods were scaled to 0; stable serves on."


def _finished(release: Release, event: Event) -> tuple[Message, bool] | None:
    if (
        release.cause is not None
        and release.cause.failure is FailureClass.REFUSED
        and release.phase is Phase.FAILED
    ):
        return None  # told already, when it was refused
    took = (
        f", took {duration(release.finished_at - release.started_at)}"
        if release.started_at and release.finished_at
        else ""
    )
    mark = "✅" if release.phase is Phase.SUCCEEDED else "⏹️"
    who = mention(release.requested_by.user)
    line = f"{mark} {who} {plain(event.text, 1_500)}{took}"
    message = Message(top_text([f"{who} {escape(event.text)}{took}"]), (section(line),))
    if release.card_snapshot.pods:
        table = table_message((pods_table(release, now=event.at),))
        message = Message(message.text, (*message.blocks, *table.blocks))
    return message, False
