"""The story of one release: who, when and why, its steps, what happened, who approved, its pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.operations.replies import StoryReply
from bot.ports import AuditLine, Message
from bot.releases.facts.ages import duration
from bot.releases.facts.counts import counted
from bot.releases.facts.release import Release
from bot.slack.blocks.buttons import compare_button, show_button
from bot.slack.blocks.elements import Block, actions, context, section, top_text
from bot.slack.blocks.tables import aligned, pods_table, table_message
from bot.slack.blocks.timeline import timeline_lines
from bot.slack.blocks.words import (
    MARKS,
    capitalised,
    headline,
    phase_words,
    title_words,
    verdict_words,
)
from bot.slack.markup import clock, code, date, escape, link, mention, plain

SHOWN_LINES = 20
SHOWN_VERDICTS = 5
_WHEN = "{date_short_pretty} {time_secs}"


def story_message(story: StoryReply, now: int) -> Message:
    release = story.release
    blocks: list[Block] = [
        section("\n".join(_head(release))),
        *(section("\n".join(part)) for part in _parts(story) if len(part) > 1),
    ]
    pods = pods_table(release, now=release.finished_at or now)
    if release.phase.is_final:
        pods = replace(pods, title=f"Pods of {release.target.app} as it ended")
    if pods.rows:
        blocks += table_message((pods,)).blocks
    blocks.append(context(_where(story)))
    if buttons := _buttons(release):
        blocks.append(actions(buttons))
    return Message(_text(story, aligned(pods) if pods.rows else []), tuple(blocks))


def _head(release: Release) -> Iterator[str]:
    yield f"*{plain(title_words(release), 300)}*"
    took = release.finished_at - release.started_at
    far = f" · took {duration(took)}" if release.finished_at and release.started_at else ""
    yield f"{MARKS[release.phase]} {plain(phase_words(release), 400)}{far}"
    yield f"*Who:* {mention(release.requested_by.user)}, {date(release.created_at, _WHEN)}"
    if release.started_at:
        ended = f", ended {date(release.finished_at, _WHEN)}" if release.finished_at else ""
        yield f"*When:* started {date(release.started_at, _WHEN)}{ended}"
    if release.reason:
        yield f"*Reason:* {plain(release.reason, 500)}"
    if release.cause is not None:
        yield f"*Why it ended so:* {plain(release.cause.summary, 700)}"


def _parts(story: StoryReply) -> Iterator[list[str]]:
    """Each with its title; one that has nothing to say is only a title."""
    release = story.release
    yield ["*Steps*", *timeline_lines(release)]
    yield ["*Approvals*", *(f"✔️ {plain(one, 200)}" for one in approvals_of(release))]
    verdicts = release.judgements[-SHOWN_VERDICTS:]
    yield [
        "*Verdicts*",
        *(
            f"{date(one.at, '{time_secs}')} {verdict_words(one)}: {plain(one.detail, 300)}"
            for one in verdicts
        ),
    ]
    shown = story.lines[-SHOWN_LINES:]
    more = len(story.lines) - len(shown)
    yield [
        "*What happened*",
        *([f"{counted(more, 'earlier line')} not shown"] if more else []),
        *(f"{date(one.at, '{time_secs}')} {plain(one.text, 300)}" for one in shown),
    ]


def approvals_of(release: Release) -> list[str]:
    """``promote: approved by manager``."""
    named = (one.partition(": ") for one in release.passed if ": " in one)
    return [f"{capitalised(gate)}: approved by {who}" for gate, _, who in named]


def _where(story: StoryReply) -> str:
    release, target = story.release, story.release.target
    place = f"{target.namespace}/{target.deployment} on {target.cluster}"
    card = f" · {link(story.card, 'Card')}" if story.card else ""
    return f"{code(release.id)} · {plain(place, 300)}{card}"


def _buttons(release: Release) -> list[Block]:
    pods = [show_button("Pods now", f"pods {release.target.app}")] if release.started_at else []
    return [*([compare_button(release)] if release.as_found is not None else []), *pods]


def _text(story: StoryReply, pods: list[str]) -> str:
    release = story.release
    by = release.requested_by.display_name
    reason = f": {release.reason}" if release.reason else ""
    lines = [
        headline(release),
        f"{release.id}, started by {by} at {clock(release.created_at)}{reason}",
        *([f"Why it ended so: {release.cause.summary}"] if release.cause else []),
        *(f"{one.title}: {duration(one.ended_at - one.began_at)}" for one in release.timeline),
        *approvals_of(release),
        *(_told(one) for one in story.lines[-SHOWN_LINES:]),
        *pods,
    ]
    return top_text(escape(line) for line in lines)


def _told(line: AuditLine) -> str:
    return f"{clock(line.at)} {line.text}"
