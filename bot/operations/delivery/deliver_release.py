"""Bring Slack up to date with one release: its card, the card's thread, and loud messages. Runs
until all is delivered or a limit says wait."""

from __future__ import annotations

from bot.operations.context import Context, left_to_newer, thread_key
from bot.operations.delivery.bring_card import card_key, point_to_card
from bot.operations.delivery.budgets import EDITS, MOVING, OVER, WAITED_FOR, rank_of
from bot.operations.delivery.find_card import find_card
from bot.operations.delivery.followers import is_followed
from bot.operations.delivery.post_head import post_head
from bot.operations.delivery.post_once import Posted, attempt_at, keyed, post_once
from bot.operations.delivery.send_copies import places_of_copies, send_copies
from bot.operations.delivery.send_events import wake_receivers
from bot.operations.delivery.send_notices import send_notices
from bot.operations.delivery.standing import Address, edit_standing, remember_standing
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
from bot.tracing import span

RETRY_MS = 5_000
# A channel that takes no messages may be opened again, and the bot invited.
CHANNEL_AGAIN_MS = 30_000
CHANNEL_GIVEN_UP_MS = 3_600_000  # after the release's end
LOG_LINE = 270  # characters: ten lines fit one message
THREAD_KNOWN_MS = 30 * 86_400_000
SENT_KNOWN_MS = 3_600_000
LINES_AT_ONCE = 10
_LOUD = "loud"  # the attempt of a message of its own; that of lines is their last sequence
_SENT_DIRECTLY = (EventKind.FINISHED, EventKind.FAILURE, EventKind.GATE_OPENED)


def deliver_release(context: Context, release_id: str) -> int | None:
    """Returns when to try again (milliseconds of Redis TIME), None when everything is delivered.

    The card goes before its thread: people watch the card, and edits have a limit of their own.
    """
    try:
        release = context.store.load(release_id)
    except KeyError:
        return None
    except UnknownSchema:
        return left_to_newer(context)
    with span(f"deliver {release.id}", of=release.begun_by):
        wait = _deliver(context, release)
    return context.store.now() + wait if wait else None


def _deliver(context: Context, release: Release) -> int:
    """Returns milliseconds to wait, 0 when everything is delivered."""
    announcements, dirty = context.store.outbox(release.id)
    if announcements:  # first, since they stay in the outbox until Slack has them
        wake_receivers(context, release)
    try:
        try:
            wait = _deliver_to_channel(context, release, announcements, dirty)
        except ChannelUnavailable:
            _deliver_directly(context, release)
            wait = _channel_again_in(context, release)
    except RateLimited as limited:
        wait = limited.retry_after_ms
    except SlackUnavailable:
        wait = RETRY_MS
    return wait


def _deliver_to_channel(
    context: Context, release: Release, announcements: tuple[Announcement, ...], dirty: bool
) -> int:
    """Returns milliseconds to wait, 0 when everything is delivered."""
    rank = rank_of(release, announcements)
    channel, ts = context.store.card(release.id)
    waits = [0]
    try:
        if not ts:
            channel = release.channel
            card = _post_card(context, release, rank)
            ts, waits[0] = card.ts, card.wait_ms
        elif dirty:
            waits[0] = _edit_card(context, release, channel, ts, rank)
        if ts:
            thread = _fleet_thread(context, release) or ts
            waits.append(_post_announcements(context, release, channel, thread, announcements))
            waits.append(edit_standing(context, release))
            waits.append(point_to_card(context, release))
            if not any(waits):
                waits.append(post_head(context, release, channel, ts))
    except MessageGone:
        # A person deleted the card, and its thread with it: the next delivery posts it anew, and
        # the remaining lines under it.
        context.store.record_card(release.id, channel=channel, ts="")
        return 1
    return min((wait for wait in waits if wait), default=0)


# --- the card -------------------------------------------------------------------------------------


def _post_card(context: Context, release: Release, rank: int) -> Posted:
    card = post_once(
        context,
        release.channel,
        card_key(context, release),
        lambda: context.render.card(
            release,
            now=context.store.now(),
            first=True,
            followed=is_followed(context, release),
        ),
        rank=rank,
        thread_ts=_fleet_thread(context, release),
    )
    if card.is_fresh:
        context.store.delivered(release.id, through=0, card_version=release.version)
    if card.ts:
        context.store.record_card(release.id, channel=release.channel, ts=card.ts)
        _remember_thread(context, release, release.channel, card.ts)
    return card


def _fleet_thread(context: Context, release: Release) -> str:
    """A part stands in the thread of its fleet's card, unless it has a channel of its own."""
    if not release.part_of:
        return ""
    channel, ts = context.store.card(release.part_of)
    return ts if channel == release.channel else ""


def _edit_card(context: Context, release: Release, channel: str, ts: str, rank: int) -> int:
    """Returns milliseconds to wait, 0 when it is done. Raises MessageGone."""
    wait = context.store.book(EDITS, release.id, rank=rank)
    if wait:
        if rank == MOVING:
            context.store.book_card(release.id, in_ms=wait)
        return wait
    card = context.render.card(
        release, now=context.store.now(), followed=is_followed(context, release)
    )
    try:
        context.messenger.edit(channel, ts, keyed(card, card_key(context, release)))
    except RateLimited as limited:
        context.store.close(EDITS, for_ms=limited.retry_after_ms)
        return limited.retry_after_ms
    context.store.delivered(release.id, through=0, card_version=release.version)
    return 0


def _remember_thread(context: Context, release: Release, channel: str, ts: str) -> None:
    context.store.put(thread_key(channel, ts), release.target.typed, ttl_ms=THREAD_KNOWN_MS)


# --- announcements --------------------------------------------------------------------------------


def _post_announcements(
    context: Context,
    release: Release,
    channel: str,
    card_ts: str,
    announcements: tuple[Announcement, ...],
) -> int:
    """Loud messages first, since each stands alone; then the lines of the thread in order. Returns
    milliseconds to wait, 0 when all are posted."""
    lines: list[tuple[Announcement, Message | None]] = []
    for entry in announcements:
        message, loud = context.render.announcement(release, entry.event) or (None, False)
        loud = _stays_loud(context, release, entry, loud)
        if message is not None and loud:
            wait = _post_loud(context, release, channel, entry)
            if wait:
                return wait
        lines.append((entry, None if loud else message))
    # A line adds nothing to its card, so at most people wait for it.
    rank = max(WAITED_FOR, rank_of(release, announcements))
    while lines:
        batch, message = _next_batch(context, release, lines)
        for entry in batch:
            if entry.event.kind is EventKind.EVIDENCE:
                _send_logs(context, release, _entry_key(release, entry))
            if entry.event.kind is EventKind.FINISHED and message is not None:
                _send_end(context, release, entry)
        if message is not None:
            wait = _post_batch(context, release, channel, card_ts, batch, message, rank=rank)
            if wait:
                return wait
        context.store.delivered(release.id, through=batch[-1].sequence, card_version=None)
        lines = lines[len(batch) :]
    return 0


def _stays_loud(context: Context, release: Release, entry: Announcement, loud: bool) -> bool:
    """The release may have moved on since an attempt to post: what was a message of its own stays
    one, so that it is found again."""
    attempted = attempt_at(context, _entry_key(release, entry))
    return loud if attempted is None else attempted == _LOUD


def _post_loud(context: Context, release: Release, channel: str, entry: Announcement) -> int:
    """A message of its own, once, ahead of its turn among the lines. Returns milliseconds to wait,
    0 when it is posted."""
    key, name = _loud_key(release, entry), _entry_key(release, entry)
    is_posted = context.store.peek(key) is not None
    places = places_of_copies(context, release, entry.event, channel=channel, key=name)
    if is_posted and not places:
        return 0
    card = find_card(context, release.id)
    rendered = context.render.announcement(release, entry.event, card)
    if rendered is None:
        context.store.put(key, "1", ttl_ms=SENT_KNOWN_MS)
        return 0
    message = rendered[0]
    if not is_posted:
        posted = post_once(context, channel, name, lambda: message, rank=OVER, attempt=_LOUD)
        if not posted.ts:
            return posted.wait_ms
        _remember_thread(context, release, channel, posted.ts)
        address = Address(channel, posted.ts, name, card)
        # One that was found again may say what was true when it was posted.
        shown = message if posted.is_fresh else None
        remember_standing(context, release, entry.event, shown, address)
        send_notices(context, release, entry.event, message)
        context.store.put(key, "1", ttl_ms=SENT_KNOWN_MS)
    return send_copies(context, release, entry.event, message, places, key=name)


def _send_end(context: Context, release: Release, entry: Announcement) -> None:
    rendered = context.render.announcement(release, entry.event, find_card(context, release.id))
    if rendered is not None:
        send_notices(context, release, entry.event, rendered[0])


def _next_batch(
    context: Context, release: Release, lines: list[tuple[Announcement, Message | None]]
) -> tuple[list[Announcement], Message | None]:
    """(the entries of one message, the message): lines that waited together are posted as one; None
    where no entry has a line.

    A batch that was attempted before is made the same way again, so that it can be found.
    """
    attempted = attempt_at(context, _entry_key(release, lines[0][0]))
    last = lines[0][0].sequence if attempted == _LOUD else int(attempted or 0)
    batch: list[Announcement] = []
    messages: list[Message] = []
    for entry, message in lines:
        batch.append(entry)
        messages += [message] if message is not None else []
        if len(messages) == LINES_AT_ONCE or entry.sequence == last:
            break
    return batch, _joined(messages)


def _joined(lines: list[Message]) -> Message | None:
    if not lines:
        return None
    return Message(
        "\n".join(line.text for line in lines),
        tuple(block for line in lines for block in line.blocks),
    )


def _post_batch(
    context: Context,
    release: Release,
    channel: str,
    thread_ts: str,
    batch: list[Announcement],
    message: Message,
    *,
    rank: int,
) -> int:
    """Returns milliseconds to wait, 0 when it is posted."""
    posted = post_once(
        context,
        channel,
        _entry_key(release, batch[0]),
        lambda: message,
        rank=rank,
        thread_ts=thread_ts,
        attempt=str(batch[-1].sequence),
    )
    if posted.ts and not thread_ts:
        _remember_thread(context, release, channel, posted.ts)
    return posted.wait_ms


def _entry_key(release: Release, entry: Announcement) -> str:
    return f"{release.id}:{entry.sequence}"


def _loud_key(release: Release, entry: Announcement) -> str:
    return f"loud:{_entry_key(release, entry)}"


def _send_logs(context: Context, release: Release, key: str, *, in_channel: bool = True) -> None:
    """Log lines may hold secrets: they go to the person who started the release, unless the catalog
    says otherwise and the channel takes them."""
    logs = release.cause.logs if release.cause is not None else ()
    wanted = ("starter",) if in_channel else ("starter", "channel")
    if not logs or release.rules.evidence_logs not in wanted or context.store.peek(f"logs:{key}"):
        return
    if release.requested_by.is_machine:
        return
    text = "\n".join(line[:LOG_LINE] for line in logs)
    pod = release.cause.pods[0] if release.cause and release.cause.pods else "a failed pod"
    document = DocumentReply(f"{release.id}: the last log lines of {pod}", text)
    try:
        context.messenger.direct(
            release.requested_by.user, context.render.reply(document, now=context.store.now())
        )
    except ChannelUnavailable:
        pass  # they take no messages from apps; the failure itself is posted in the channel
    context.store.put(f"logs:{key}", "1", ttl_ms=SENT_KNOWN_MS)


# --- a channel that takes no messages -------------------------------------------------------------


def _channel_again_in(context: Context, release: Release) -> int:
    """Milliseconds until the card is tried again, 0 when it is given up: a card that still asks for
    a decision must be there when its channel is back. After the release's end less and less often:
    edits are scarce and others need them.
    """
    since_end = context.store.now() - release.finished_at if release.phase.is_final else 0
    if since_end < CHANNEL_GIVEN_UP_MS:
        return max(CHANNEL_AGAIN_MS, since_end)
    context.store.delivered(release.id, through=0, card_version=release.version)
    context.store.head_posted(release.id)  # the audit channel and the log have it
    return 0


def _deliver_directly(context: Context, release: Release) -> None:
    """The person who started the release gets the important announcements as direct messages; the
    channel does not get them later."""
    for entry in context.store.outbox(release.id)[0]:
        rendered = context.render.announcement(release, entry.event)
        is_posted = context.store.peek(_loud_key(release, entry)) is not None
        if rendered is not None and not is_posted and entry.event.kind in _SENT_DIRECTLY:
            _send_directly(context, release, rendered[0])
        if entry.event.kind is EventKind.EVIDENCE:
            _send_logs(context, release, _entry_key(release, entry), in_channel=False)
        context.store.delivered(release.id, through=entry.sequence, card_version=None)


def _send_directly(context: Context, release: Release, message: Message) -> None:
    if release.requested_by.is_machine:
        return
    try:
        context.messenger.direct(release.requested_by.user, message)
    except ChannelUnavailable:
        pass  # they take no messages from apps either; the record and the audit stream have it
