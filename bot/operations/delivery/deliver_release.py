"""Tell Slack what happened to one release: the card, its thread, and loud messages. Runs until all
is told or a limit says wait."""

from __future__ import annotations

from bot.operations.context import Context, left_to_newer, thread_key
from bot.operations.delivery.budgets import EDITS, MOVING, OVER, WAITED_FOR, posts_in, rank_of
from bot.operations.delivery.find_card import find_card
from bot.operations.replies import DocumentReply
from bot.ports import (
    Announcement,
    ChannelUnavailable,
    Message,
    MessageGone,
    RateLimited,
    SlackUnavailable,
    UnknownSchema,
)
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Release

RETRY_MS = 5_000
CHANNEL_AGAIN_MS = (
    30_000  # a channel that takes no messages: it may be opened again, and the bot invited
)
CHANNEL_GIVEN_UP_MS = 3_600_000  # after the release's end
LOG_LINE = 270  # ten of them are one message
THREAD_KNOWN_MS = 30 * 86_400_000
LINES_AT_ONCE = 10


def deliver_release(context: Context, release_id: str) -> int | None:
    """Returns when to try again (milliseconds of Redis TIME), None when everything is told.

    The card goes before its thread: it is what people look at, and edits have a limit of their own.
    """
    try:
        release = context.store.load(release_id)
    except KeyError:
        return None
    except UnknownSchema:
        return left_to_newer(context)
    announcements, dirty = context.store.outbox(release_id)
    try:
        try:
            wait = _tell_in_channel(context, release, announcements, dirty)
        except ChannelUnavailable:
            _tell_in_person(context, release)
            wait = _until_channel_again(context, release)
    except RateLimited as limited:
        wait = limited.retry_after_ms
    except SlackUnavailable:
        wait = RETRY_MS
    return context.store.now() + wait if wait else None


def _tell_in_channel(
    context: Context, release: Release, announcements: tuple[Announcement, ...], dirty: bool
) -> int:
    """Returns milliseconds to wait, 0 when everything is told."""
    rank = rank_of(release, announcements)
    channel, ts = context.store.card(release.id)
    waits = [0]
    try:
        if not ts:
            channel, ts, waits[0] = _post_card(context, release, rank)
        elif dirty:
            waits[0] = _edit_card(context, release, channel, ts, rank)
        if ts:
            waits.append(_tell_all(context, release, channel, ts, announcements))
    # a person deleted the card, and its thread with it: the next look posts it, and tells there
    # what is left
    except MessageGone:
        context.store.record_card(release.id, channel=channel, ts="")
        return 1
    return min((wait for wait in waits if wait), default=0)


def _post_card(context: Context, release: Release, rank: int) -> tuple[str, str, int]:
    """(channel, ts, milliseconds to wait). Posted once: an answer lost after posting is found again
    by the message's metadata."""
    key = f"{release.id}:card"
    channel = release.channel
    attempted = context.store.peek(f"posting:{key}")
    ts = context.messenger.find_posted(channel, key=key) if attempted else ""
    if not ts:
        wait = context.store.book(posts_in(channel), key, rank=rank)
        if wait:
            return channel, "", wait
        context.store.put(f"posting:{key}", "1", ttl_ms=3_600_000)
        message = context.render.card(release, now=context.store.now(), first=True)
        try:
            ts = context.messenger.post(channel, _keyed(message, key))
        except RateLimited as limited:
            context.store.close(posts_in(channel), for_ms=limited.retry_after_ms)
            return channel, "", limited.retry_after_ms
        context.store.delivered(release.id, through=0, card_version=release.version)
    _record_card(context, release, channel, ts)
    return channel, ts, 0


def _record_card(context: Context, release: Release, channel: str, ts: str) -> None:
    context.store.record_card(release.id, channel=channel, ts=ts)
    context.store.put(thread_key(channel, ts), release.target.app, ttl_ms=THREAD_KNOWN_MS)


def _tell_all(
    context: Context,
    release: Release,
    channel: str,
    ts: str,
    announcements: tuple[Announcement, ...],
) -> int:
    """Failures first, for they stand alone; then the lines of the thread in order. Returns
    milliseconds to wait, 0 when all is told."""
    lines: list[tuple[Announcement, Message | None]] = []
    for entry in announcements:
        message, loud = context.render.announcement(release, entry.event) or (None, False)
        if message is not None and loud:
            wait = _shout(context, release, channel, entry)
            if wait:
                return wait
        lines.append((entry, None if loud else message))
    rank = max(
        WAITED_FOR, rank_of(release, announcements)
    )  # a line says what its card shows already
    while lines:
        told, message = _next_lines(context, release, lines)
        if message is not None:
            wait = _announce(context, release, channel, ts, told, message, rank=rank)
            if wait:
                return wait
        context.store.delivered(release.id, through=told[-1].sequence, card_version=None)
        lines = lines[len(told) :]
    return 0


def _shout(context: Context, release: Release, channel: str, entry: Announcement) -> int:
    """A message of its own, once, whenever its turn among the lines comes. Returns milliseconds to
    wait, 0 when it is said."""
    key = f"shouted:{release.id}:{entry.sequence}"
    if context.store.peek(key):
        return 0
    rendered = context.render.announcement(release, entry.event, find_card(context, release.id))
    wait = (
        _announce(context, release, channel, "", [entry], rendered[0], rank=OVER)
        if rendered is not None
        else 0
    )
    if not wait:
        if entry.event.kind is EventKind.FAILURE:
            _give_logs(context, release, f"{release.id}:{entry.sequence}")
        context.store.put(key, "1", ttl_ms=3_600_000)
    return wait


def _next_lines(
    context: Context, release: Release, lines: list[tuple[Announcement, Message | None]]
) -> tuple[list[Announcement], Message | None]:
    """(what is told by it, the message): lines that have waited together go as one; None where
    nothing is to be said.

    What was attempted before is told the same way again, so that it can be found.
    """
    attempted = context.store.peek(f"posting:{release.id}:{lines[0][0].sequence}")
    last = int(attempted) if attempted else None
    told: list[Announcement] = []
    joined: list[Message] = []
    for entry, message in lines:
        told.append(entry)
        joined += [message] if message is not None else []
        if len(joined) == LINES_AT_ONCE or entry.sequence == last:
            break
    return told, _joined(joined)


def _joined(lines: list[Message]) -> Message | None:
    if not lines:
        return None
    return Message(
        "\n".join(line.text for line in lines),
        tuple(block for line in lines for block in line.blocks),
    )


def _announce(
    context: Context,
    release: Release,
    channel: str,
    thread: str,
    told: list[Announcement],
    message: Message,
    *,
    rank: int,
) -> int:
    """Returns milliseconds to wait, 0 when it is said."""
    key = f"{release.id}:{told[0].sequence}"
    posted = (
        context.messenger.find_posted(channel, key=key, thread_ts=thread)
        if context.store.peek(f"posting:{key}")
        else ""
    )
    if not posted:
        wait = context.store.book(posts_in(channel), key, rank=rank)
        if wait:
            return wait
        context.store.put(f"posting:{key}", str(told[-1].sequence), ttl_ms=3_600_000)
        try:
            posted = context.messenger.post(channel, _keyed(message, key), thread_ts=thread)
        except RateLimited as limited:
            context.store.close(posts_in(channel), for_ms=limited.retry_after_ms)
            return limited.retry_after_ms
    if not thread:
        context.store.put(thread_key(channel, posted), release.target.app, ttl_ms=THREAD_KNOWN_MS)
    return 0


def _give_logs(context: Context, release: Release, key: str) -> None:
    """Log lines may hold what is not for everyone: they go to the one who started the release,
    unless the catalog says otherwise."""
    logs = release.cause.logs if release.cause is not None else ()
    if not logs or release.rules.evidence_logs != "starter" or context.store.peek(f"logs:{key}"):
        return
    text = "\n".join(line[:LOG_LINE] for line in logs)
    title = (
        f"{release.id}: the last log lines of"
        f" {release.cause.pods[0] if release.cause and release.cause.pods else 'a failed pod'}"
    )
    try:
        context.messenger.direct(
            release.requested_by.user,
            context.render.reply(DocumentReply(title, text), now=context.store.now()),
        )
    except ChannelUnavailable:
        pass  # they take no messages from apps; the failure itself is told in the channel
    context.store.put(f"logs:{key}", "1", ttl_ms=3_600_000)


def _edit_card(context: Context, release: Release, channel: str, ts: str, rank: int) -> int:
    """Returns milliseconds to wait, 0 when it is done. Raises MessageGone."""
    wait = context.store.book(EDITS, release.id, rank=rank)
    if wait:
        if rank == MOVING:
            context.store.book_card(release.id, in_ms=wait)
        return wait
    message = _keyed(context.render.card(release, now=context.store.now()), f"{release.id}:card")
    try:
        context.messenger.edit(channel, ts, message)
    except RateLimited as limited:
        context.store.close(EDITS, for_ms=limited.retry_after_ms)
        return limited.retry_after_ms
    context.store.delivered(release.id, through=0, card_version=release.version)
    return 0


def _until_channel_again(context: Context, release: Release) -> int:
    """Milliseconds until the card is tried again, 0 when it is given up: a card that still asks
    when its channel is back would be answered, and one that never came would be missed. Less and
    less often after the end, for edits are few and others need them.
    """
    since_end = context.store.now() - release.finished_at if release.phase.is_final else 0
    if since_end < CHANNEL_GIVEN_UP_MS:
        return max(CHANNEL_AGAIN_MS, since_end)
    context.store.delivered(release.id, through=0, card_version=release.version)
    return 0


def _tell_in_person(context: Context, release: Release) -> None:
    """The channel takes nothing: the one who started it is told directly what is left to tell; the
    channel will not be told it too."""
    for entry in context.store.outbox(release.id)[0]:
        rendered = context.render.announcement(release, entry.event)
        told = context.store.peek(f"shouted:{release.id}:{entry.sequence}") is not None
        if (
            rendered is not None
            and not told
            and entry.event.kind in (EventKind.FINISHED, EventKind.FAILURE, EventKind.GATE_OPENED)
        ):
            try:
                context.messenger.direct(release.requested_by.user, rendered[0])
            except ChannelUnavailable:
                # they take no messages from apps either; the record and the audit stream have it
                pass
            if entry.event.kind is EventKind.FAILURE:
                _give_logs(context, release, f"{release.id}:{entry.sequence}")
        context.store.delivered(release.id, through=entry.sequence, card_version=None)


def _keyed(message: Message, key: str) -> Message:
    return Message(
        message.text, message.blocks, {"event_type": "pilothouse", "event_payload": {"key": key}}
    )
