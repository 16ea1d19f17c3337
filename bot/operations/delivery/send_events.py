"""What happens to a release, sent to one receiver: each event at least once, in its order. What the
audit holds is sent from the place that was reached, so nothing is lost with a process.

Slack never waits for a receiver: deliveries only wake this, and it has workers of its own.
"""

from __future__ import annotations

import logging

from bot.operations.context import Context, left_to_newer
from bot.operations.delivery.find_card import find_card
from bot.ports import Happened, Receiver, ReceiverAway, ReceiverRefused, Receivers, UnknownSchema
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Release

SENT = frozenset({EventKind.CREATED, EventKind.PLANNED, EventKind.FINISHED})
REACHED_KNOWN_MS = 30 * 86_400_000
GIVEN_UP_MS = 24 * 3_600_000
FIRST_WAIT_MS = 500
LONGEST_WAIT_MS = 60_000
BUDGET_S = 9.0
"""A request takes 4 s at most, and a job 18 s."""

log = logging.getLogger(__name__)


def wake_receivers(context: Context, release: Release) -> None:
    """Something happened that receivers may want to know. Of a fleet they are told its parts."""
    if release.fleet is not None:
        return
    for receiver in context.catalog.receivers:
        if receiver.covers(release.target.app):
            wake_id = f"events:{receiver.name}/{release.id}"
            context.queue.wake(wake_id, context.store.now())


def send_events(context: Context, subject: str) -> int | None:
    """``subject``: the receiver's name, a slash, the release's id. Returns when to come again
    (milliseconds of Redis TIME), None when everything was sent."""
    name, _, release_id = subject.partition("/")
    receiver = next((one for one in context.catalog.receivers if one.name == name), None)
    if receiver is None or context.receivers is None:
        return None
    closed_until = context.store.peek(_closed(receiver))
    if closed_until is not None:
        return int(closed_until)
    try:
        return _send(context, receiver, context.store.load(release_id))
    except KeyError:
        return None
    except UnknownSchema:
        return left_to_newer(context)
    except ReceiverAway as away:
        return _close(context, receiver, away)


def _send(context: Context, receiver: Receiver, release: Release) -> int | None:
    began = context.runtime.monotonic()
    reached = f"events of {release.id} at {receiver.name}"
    after = context.store.peek(reached) or ""
    while True:
        story = context.store.story(release, after=after)
        release = context.store.load(release.id)  # a story that ends has a release that ended
        for place, line in story.lines:
            if line.kind in SENT:
                _send_one(
                    context, receiver, Happened(place, line, release, _address(context, release))
                )
            context.store.put(reached, place, ttl_ms=REACHED_KNOWN_MS)
            if context.runtime.monotonic() - began > BUDGET_S:
                return context.store.now()
        after = story.through
        if story.is_whole:
            return None


def _send_parts(
    context: Context, receiver: Receiver, happened: Happened, receivers: Receivers
) -> None:
    """From the part that was reached, so that a receiver which fails now and then gets them all."""
    key = f"part of {happened.release.id} at {receiver.name}"
    place, _, number = (context.store.peek(key) or "").partition(" ")
    part = int(number) if place == happened.place else 0
    while receivers.send(receiver, happened, part):
        part += 1
        context.store.put(key, f"{happened.place} {part}", ttl_ms=REACHED_KNOWN_MS)


def _send_one(context: Context, receiver: Receiver, happened: Happened) -> None:
    """Raises ReceiverAway."""
    assert context.receivers is not None
    about = (happened.line.kind, happened.release.id, receiver.url)
    try:
        _send_parts(context, receiver, happened, context.receivers)
    except ReceiverRefused as refused:
        log.error("event %s of %s is refused by %s: %s", *about, refused)
    except ReceiverAway as away:
        if context.store.now() - happened.line.at < GIVEN_UP_MS:
            raise
        log.error("event %s of %s is given up for %s: %s", *about, away)
    context.store.take(_failures(receiver))


def _address(context: Context, release: Release) -> str:
    """Of its card; while that is not posted, of its channel."""
    card = find_card(context, release.id)
    return card or f"https://slack.com/app_redirect?channel={release.channel}"


def _close(context: Context, receiver: Receiver, away: ReceiverAway) -> int:
    """No release asks a receiver that is away, until its wait is over."""
    failures = int(context.store.peek(_failures(receiver)) or 0)
    wait_ms = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(failures, 10))
    context.store.put(_failures(receiver), str(failures + 1), ttl_ms=GIVEN_UP_MS)
    until = context.store.now() + wait_ms
    context.store.put(_closed(receiver), str(until), ttl_ms=wait_ms)
    log.warning("%s takes no events (%s): again in %d ms", receiver.url, away, wait_ms)
    return until


def _failures(receiver: Receiver) -> str:
    return f"failures of {receiver.name}"


def _closed(receiver: Receiver) -> str:
    return f"until when {receiver.name} is away"
