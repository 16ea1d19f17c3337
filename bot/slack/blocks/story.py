"""The story of one release: who, when and why, its steps, what happened, who approved, its pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.operations.replies import ComparisonReply, StoryReply
from bot.ports import AuditLine, Message
from bot.releases.facts.ages import duration
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Release
from bot.slack.blocks.buttons import (
    compare_button,
    may_be_rolled_back,
    roll_back_button,
    show_button,
)
from bot.slack.blocks.elements import Block, actions, context, section, top_text
from bot.slack.blocks.tables import aligned, pods_table, table_message
from bot.slack.blocks.timeline import steps_over, timeline_lines, took_words
from bot.slack.blocks.words import (
    MARKS,
    headline,
    phase_words,
    title_words,
    verdict_words,
)
from bot.slack.markup import DAY_AND_TIME, clock, code, date, escape, link, mention, plain

SHOWN_LINES = 20
SHOWN_VERDICTS = 5
SHOWN_DIFFERENCES = 25


def story_message(story: StoryReply, now: int) -> Message:
    release = story.release
    blocks: list[Block] = [
        section("\n".join(_head(release))),
        *(section("\n".join(part)) for part in _parts(story) if len(part) > 1),
    ]
    pods = pods_table(release, now=release.finished_at or now)
    if release.phase.is_final:
        pods = replace(pods, title=f"Pods of {release.target.label} as it ended")
    if pods.rows:
        blocks += table_message((pods,)).blocks
    blocks.append(context(_where(story)))
    if buttons := _buttons(release):
        blocks.append(actions(buttons))
    return Message(_text(story, aligned(pods) if pods.rows else []), tuple(blocks))


def _head(release: Release) -> Iterator[str]:
    yield f"*{plain(title_words(release), 300)}*"
    far = f" · took {duration(release.took_ms)}" if release.took_ms is not None else ""
    yield f"{MARKS[release.phase]} {plain(phase_words(release), 400)}{far}"
    yield f"*Who:* {mention(release.requested_by.user)}, {date(release.created_at, DAY_AND_TIME)}"
    if release.started_at:
        ended = f", ended {date(release.finished_at, DAY_AND_TIME)}" if release.finished_at else ""
        yield f"*When:* started {date(release.started_at, DAY_AND_TIME)}{ended}"
    if release.reason:
        yield f"*Reason:* {plain(release.reason, 500)}"
    if release.cause is not None:
        yield f"*Why it ended so:* {plain(release.cause.summary, 700)}"


def _parts(story: StoryReply) -> Iterator[list[str]]:
    """Each with its title; one that has nothing to say is only a title."""
    release = story.release
    yield ["*Steps*", *timeline_lines(release)]
    yield ["*Approvals*", *(_dated(one) for one in _votes(story))]
    verdicts = release.judgements[-SHOWN_VERDICTS:]
    yield [
        "*Verdicts*",
        *(
            f"{date(one.at, '{time_secs}')} {verdict_words(one)}: {plain(one.detail, 300)}"
            for one in verdicts
        ),
    ]
    lines = _happened(story)
    shown = lines[-SHOWN_LINES:]
    more = len(lines) - len(shown)
    yield [
        "*What happened*",
        *([f"{counted(more, 'earlier line')} not shown"] if more else []),
        *(_dated(one) for one in shown),
    ]


def _votes(story: StoryReply) -> list[AuditLine]:
    return [line for line in story.lines if line.kind == EventKind.VOTED]


def _happened(story: StoryReply) -> list[AuditLine]:
    """What no other part of the story shows."""
    told = (EventKind.VOTED, EventKind.JUDGED)
    return [
        line
        for line in story.lines
        if line.kind not in told and not (line.kind == EventKind.GATE_PASSED and not line.by)
    ]


def _dated(line: AuditLine) -> str:
    return f"{date(line.at, '{time_secs}')} {plain(line.text, 300)}"


def _where(story: StoryReply) -> str:
    release, target = story.release, story.release.target
    place = f"{target.namespace}/{target.deployment} on {target.cluster}"
    card = f" · {link(story.card, 'Card')}" if story.card else ""
    return f"{code(release.id)} · {plain(place, 300)}{card}"


def _buttons(release: Release) -> list[Block]:
    pods = [show_button("Pods now", f"pods {release.target.typed}")] if release.started_at else []
    back = [roll_back_button(release.id)] if may_be_rolled_back(release) else []
    return [*back, *([compare_button(release)] if release.as_found is not None else []), *pods]


def _text(story: StoryReply, pods: list[str]) -> str:
    release = story.release
    by = release.requested_by.display_name
    reason = f": {release.reason}" if release.reason else ""
    lines = [
        headline(release),
        f"{release.id}, started by {by} at {clock(release.created_at)}{reason}",
        *([f"Why it ended so: {release.cause.summary}"] if release.cause else []),
        *(f"{one.title} · {took_words(one)}" for one in steps_over(release)),
        *(_told(one) for one in [*_votes(story), *_happened(story)][-SHOWN_LINES:]),
        *pods,
    ]
    return top_text(escape(line) for line in lines)


def _told(line: AuditLine) -> str:
    return f"{clock(line.at)} {line.text or '(erased)'}"


def compared(reply: ComparisonReply) -> Message:
    """A line for each field: a phone would cut the last column of a table."""
    title = f"{reply.release.id}: {reply.release.target.label} before and after"
    rows = reply.rows[:SHOWN_DIFFERENCES]
    lines = [
        f"• {plain(what, 200)}: {code(before, 150)} → {code(after, 150)}"
        for what, before, after in rows
    ]
    text = [title, reply.note, *(f"{what}: {before} → {after}" for what, before, after in rows)]
    if left := len(reply.rows) - len(rows):
        lines.append(f"and {counted(left, 'more difference')}")
    head = f"*{plain(title, 200)}*\n{plain(reply.note, 300)}"
    blocks = [section(head), *([section("\n".join(lines))] if lines else [])]
    return Message(top_text(escape(line) for line in text), tuple(blocks))
