"""The message of a rollout outside Pilothouse: what rolls, who started it, how far it is, and the
button that undoes it."""

from __future__ import annotations

from collections.abc import Iterator

from bot.operations.replies import RolloutCard
from bot.ports import Message
from bot.releases.assess.outside_rollout import RolloutState
from bot.releases.facts.ages import duration
from bot.releases.facts.counts import counted
from bot.releases.facts.images import split_image, version_of
from bot.slack.blocks.elements import actions, context, preformatted, section
from bot.slack.blocks.plain_card import SHOWN_EVIDENCE
from bot.slack.blocks.replies import roll_back_to
from bot.slack.markup import code, date, escape, plain, with_clocks

_MARKS = {
    RolloutState.ROLLING: "🔄",
    RolloutState.PAUSED: "⏸️",
    RolloutState.FAILING: "❌",
    RolloutState.STUCK: "⌛",
    RolloutState.COMPLETE: "✅",
    RolloutState.GONE: "🗑️",
}


def rollout_message(card: RolloutCard) -> Message:
    title = _title(card)
    lines, evidence = tuple(_lines(card)), _evidence(card)
    shown = "\n".join([f"{_mark(card)} *{plain(title)}*", *map(plain, lines)])
    who = f"by {card.manager}, outside Pilothouse" if card.manager else "outside Pilothouse"
    shown_who = f"by {code(card.manager, 80)}, outside Pilothouse" if card.manager else who
    blocks = [section(shown)]
    if evidence:
        blocks.append(preformatted("\n".join(line[:300] for line in evidence)))
    when = "while Pilothouse was not watching" if card.missed else f"at {date(card.began_at)}"
    blocks.append(context(f"Started {shown_who}{', ' if card.missed else ' '}{when}"))
    if card.roll_back is not None:
        blocks.append(actions([roll_back_to(card.roll_back)]))
    missed = f", {when}" if card.missed else ""
    text = "\n".join([title, *lines, *evidence, f"Started {who}{missed}"])
    return Message(with_clocks(escape(text)), tuple(blocks))


def _mark(card: RolloutCard) -> str:
    return "➡️" if card.taken_by else _MARKS[card.rollout.state]


def _title(card: RolloutCard) -> str:
    change = _change(card.before, card.after)
    if card.before == card.after and card.via:
        change = f"{_change(card.before, card.via)}, and back"
    if card.taken_by:
        return f"{card.app}: {card.taken_by} runs since {change} began"
    match card.rollout.state:
        case RolloutState.ROLLING:
            return f"{card.app} is rolling: {change}"
        case RolloutState.PAUSED:
            return f"{card.app} is paused: {change}"
        case RolloutState.FAILING:
            return f"{card.app} fails: {change}"
        case RolloutState.STUCK:
            return f"{card.app} is past its progress deadline: {change}"
        case RolloutState.COMPLETE:
            took = duration(max(1_000, card.ended_at - card.began_at))
            return f"{card.app} has rolled: {change}{'' if card.missed else f', took {took}'}"
        case RolloutState.GONE:
            return f"{card.app} was deleted while it rolled"


def _lines(card: RolloutCard) -> Iterator[str]:
    rollout = card.rollout
    if not card.ended_at or card.taken_by or not rollout.is_over:
        left = f", {counted(rollout.old, 'old pod')} left" if rollout.old else ""
        yield f"{rollout.ready} of {counted(rollout.wanted, 'pod')} ready{left}"
    if rollout.cause is not None and not rollout.is_over:
        yield rollout.cause.summary
    if card.managed and not rollout.is_over:
        yield f"Managed by {card.managed}: undo it there."
    if card.ended_at and not rollout.is_over and not card.taken_by:
        yield "It is no longer followed."


def _evidence(card: RolloutCard) -> tuple[str, ...]:
    cause = card.rollout.cause
    return () if cause is None or card.rollout.is_over else cause.evidence[:SHOWN_EVIDENCE]


def _change(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """``1.0.0 → 2.0.0`` where only one version changed; ``a new template`` where no image did."""
    changed = [(old, new) for old, new in zip(before, after, strict=False) if old != new]
    if before == after:
        return "a new pod template"
    if len(before) != len(after) or len(changed) != 1:
        return f"{', '.join(before) or 'nothing'} → {', '.join(after) or 'nothing'}"
    ((old, new),) = changed
    if split_image(old).repository != split_image(new).repository:
        return f"{old} → {new}"
    return f"{version_of(old)} → {version_of(new)}"
