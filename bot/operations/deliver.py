"""Tell Slack what happened to one release: the card, its thread, and loud messages. Runs until all is told or a limit says wait."""

from __future__ import annotations

from bot.operations.context import Context, thread_key
from bot.operations.invocation import Document
from bot.ports import Announcement, ChannelUnavailable, Message, MessageGone, RateLimited, SlackUnavailable
from bot.releases.events import EventKind
from bot.releases.model import Phase, Release

EDITS_PER_MINUTE = 48
EDIT_BURST = 10
RETRY_MS = 5_000
LOG_LINE = 270  # ten of them are one message
THREAD_KNOWN_MS = 30 * 86_400_000
_URGENT = frozenset({Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION, Phase.PAUSED, Phase.DRIFTED})
_ATTEMPTS_BUDGET = "slack edits"


def deliver(context: Context, release_id: str) -> int | None:
    """Returns when to try again (milliseconds of Redis TIME), None when everything is told."""
    try:
        release = context.store.load(release_id)
    except KeyError:
        return None
    announcements, dirty = context.store.outbox(release_id)
    try:
        channel, ts = context.store.card(release_id)
        if not ts:
            channel, ts = _post_card(context, release)
        for entry in announcements:
            _announce(context, release, channel, ts, entry)
            context.store.delivered(release_id, through=entry.sequence, card_version=None)
        if dirty:
            wait = _edit_card(context, release, channel, ts)
            if wait:
                return context.store.now() + wait
    except RateLimited as limited:
        return context.store.now() + limited.retry_after_ms
    except SlackUnavailable:
        return context.store.now() + RETRY_MS
    except ChannelUnavailable:
        _tell_in_person(context, release, announcements)
    return None


def _post_card(context: Context, release: Release) -> tuple[str, str]:
    """Posted once: an answer lost after posting is found again by the message's metadata."""
    key = f"{release.id}:card"
    channel = release.channel
    attempted = context.store.peek(f"posting:{key}")
    ts = context.messenger.find_posted(channel, key=key) if attempted else ""
    if not ts:
        context.store.put(f"posting:{key}", "1", ttl_ms=3_600_000)
        message = context.render.card(release, now=context.store.now())
        ts = context.messenger.post(channel, _keyed(message, key))
    _record_card(context, release, channel, ts)
    return channel, ts


def _record_card(context: Context, release: Release, channel: str, ts: str) -> None:
    context.store.record_card(release.id, channel=channel, ts=ts)
    context.store.put(thread_key(channel, ts), release.target.app, ttl_ms=THREAD_KNOWN_MS)


def _announce(context: Context, release: Release, channel: str, ts: str, entry: Announcement) -> None:
    rendered = context.render.announcement(release, entry.event)
    if rendered is None:
        return
    message, loud = rendered
    key = f"{release.id}:{entry.sequence}"
    attempted = context.store.peek(f"posting:{key}")
    thread = "" if loud else ts
    posted = context.messenger.find_posted(channel, key=key, thread_ts=thread) if attempted else ""
    if not posted:
        context.store.put(f"posting:{key}", "1", ttl_ms=3_600_000)
        posted = context.messenger.post(channel, _keyed(message, key), thread_ts=thread)
    if loud:
        context.store.put(thread_key(channel, posted), release.target.app, ttl_ms=THREAD_KNOWN_MS)
    if entry.event.kind is EventKind.FAILURE:
        _give_logs(context, release, key)


def _give_logs(context: Context, release: Release, key: str) -> None:
    """Log lines may hold what is not for everyone: they go to the one who started the release, unless the catalog says otherwise."""
    logs = release.cause.logs if release.cause is not None else ()
    if not logs or release.rules.evidence_logs != "starter" or context.store.peek(f"logs:{key}"):
        return
    text = "\n".join(line[:LOG_LINE] for line in logs)
    title = f"{release.id}: the last log lines of {release.cause.pods[0] if release.cause and release.cause.pods else 'a failed pod'}"
    try:
        context.messenger.direct(release.requested_by.user, context.render.reply(Document(title, text), now=context.store.now()))
    except ChannelUnavailable:
        pass  # they take no messages from apps; the failure itself is told in the channel
    context.store.put(f"logs:{key}", "1", ttl_ms=3_600_000)


def _edit_card(context: Context, release: Release, channel: str, ts: str) -> int:
    """Edits share one budget; what people wait for and final states do not wait for it. Returns milliseconds to wait, 0 when done."""
    wait = context.store.spend(_ATTEMPTS_BUDGET, per_minute=EDITS_PER_MINUTE, burst=EDIT_BURST)
    urgent = release.phase.is_final or release.phase in _URGENT
    if wait and not urgent:
        return wait
    message = _keyed(context.render.card(release, now=context.store.now()), f"{release.id}:card")
    try:
        context.messenger.edit(channel, ts, message)
    except MessageGone:
        if not release.phase.is_final or context.store.outbox(release.id)[1]:
            again = context.messenger.post(channel, message)
            _record_card(context, release, channel, again)
    context.store.delivered(release.id, through=0, card_version=release.version)
    return 0


def _tell_in_person(context: Context, release: Release, announcements: tuple[Announcement, ...]) -> None:
    """The channel is gone: the one who started it is told directly, and nothing is retried for ever."""
    for entry in announcements:
        rendered = context.render.announcement(release, entry.event)
        if rendered is not None and entry.event.kind in (EventKind.FINISHED, EventKind.FAILURE, EventKind.GATE_OPENED):
            context.messenger.direct(release.requested_by.user, rendered[0])
            if entry.event.kind is EventKind.FAILURE:
                _give_logs(context, release, f"{release.id}:{entry.sequence}")
        context.store.delivered(release.id, through=entry.sequence, card_version=None)
    context.store.delivered(release.id, through=0, card_version=release.version)


def _keyed(message: Message, key: str) -> Message:
    return Message(message.text, message.blocks, {"event_type": "pilothouse", "event_payload": {"key": key}})
