"""`/release`: what happened in one release, from its record and the audit stream; or what it
changed in the cluster."""

from __future__ import annotations

from bot.commands.model import ReleaseCommand
from bot.operations.context import Context, thread_key
from bot.operations.delivery.find_card import find_card
from bot.operations.queries.compare_release import compare_release
from bot.operations.replies import Refusal, Reply, StoryReply
from bot.ports import AuditLine
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Release

READ_LINES = 800  # of the app's audit stream: the releases since come with it
SEARCHED = 200  # releases of an app, for the one whose card is linked
_ELSEWHERE = frozenset(
    {
        EventKind.CREATED,
        EventKind.PLANNED,
        EventKind.STEP_BEGAN,
        EventKind.STEP_DONE,
        EventKind.WROTE,
        EventKind.FINISHED,
    }
)
"""In the head, in the steps, or of the bot's own doing."""


def show_release(context: Context, command: ReleaseCommand) -> Reply:
    """Raises ClusterUnreachable where it compares."""
    release = _found(context, command)
    if release is None:
        return _not_found(context, command)
    if command.compare:
        return compare_release(context, release)
    return StoryReply(release, _happened(context, release), find_card(context, release.id))


def _found(context: Context, command: ReleaseCommand) -> Release | None:
    if command.card:
        return _of_card(context, *command.card.split("/", 1))
    if command.id:
        try:
            return context.store.load(command.id)
        except KeyError:
            return None
    return next(iter(context.store.recent(command.app, command.cluster, limit=1)), None)


def _of_card(context: Context, channel: str, ts: str) -> Release | None:
    app = context.store.peek(thread_key(channel, ts))
    if app is None:
        return None
    recent = context.store.recent(app.partition(" ")[0], limit=SEARCHED)
    return next((one for one in recent if context.store.card(one.id) == (channel, ts)), None)


def _not_found(context: Context, command: ReleaseCommand) -> Refusal:
    listing = f"See `{context.names.typed('releases')}`."
    if command.card:
        return Refusal("That message is not the card of a release.", listing)
    if command.id:
        return Refusal(f"There is no release {command.id}.", listing)
    return Refusal(f"{command.app} was never released here.", listing)


def _happened(context: Context, release: Release) -> tuple[AuditLine, ...]:
    """Oldest first."""
    lines = context.store.audit(app=release.target.app, limit=READ_LINES)
    return tuple(
        line
        for line in reversed(lines)
        if line.release_id == release.id and line.kind not in _ELSEWHERE and not line.path
    )
