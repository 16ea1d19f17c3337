"""The locks on what a release may write, and its place in the line for them."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.operations.delivery.find_card import find_card
from bot.operations.delivery.followers import redraw_front
from bot.operations.lifecycle.meet_freeze import freeze_that_refuses
from bot.ports import ClusterUnreachable, Locked, UnknownSchema
from bot.releases.facts.changes import Undo
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase, PlaceInLine, Release

QUEUE_AGAIN_MS = 30_000


def lock_keys(release: Release, cluster_uid: str) -> tuple[str, ...]:
    where = f"{cluster_uid}/{release.target.namespace}"
    services = tuple(f"{where}/Service/{name}" for name in release.target.services)
    deployments = tuple(
        f"{where}/Deployment/{name}"
        for name in (release.target.deployment, release.target.idle)
        if name
    )
    return (*deployments, *services, *_lock_of_cluster(release))


def fleet_locks(release: Release) -> tuple[str, ...]:
    """A fleet holds the app in each of its clusters; its parts stand beside it, anything else that
    is asked for the app there waits behind it."""
    return tuple(_fleet_lock(release.target.app, one) for one in release.target.clusters)


def _lock_of_cluster(release: Release) -> tuple[str, ...]:
    """A way back waits for no fleet."""
    target = release.target
    if release.part_of or not target.one_of_many or isinstance(release.change, Undo):
        return ()
    return (_fleet_lock(target.app, target.cluster),)


def _fleet_lock(app: str, cluster: str) -> str:
    return f"fleet/{app}/{cluster}"


def cluster_uid(context: Context, release: Release) -> str:
    """ "" where it cannot be read: the observation that follows says why."""
    try:
        return context.cluster(release.target.cluster).uid()
    except ClusterUnreachable:
        return ""


def stand_in_line(context: Context, release: Release, cluster_uid: str) -> int | None:
    """None when the locks are held; else when to try again (a freed lock wakes it sooner)."""
    return wait_for_locks(context, release, lock_keys(release, cluster_uid))


def wait_for_locks(context: Context, release: Release, keys: tuple[str, ...]) -> int | None:
    """See ``stand_in_line``."""
    locked = context.store.acquire(release, keys)
    now = context.store.now()
    if not locked.behind:
        return None
    place, freeze = place_in_line(context, locked), freeze_that_refuses(context, release)
    if release.queued_behind != locked.behind:
        text = f"waits for {locked.behind}, position {locked.position}"
        event = Event(now, EventKind.QUEUED, text)
        waiting = replace(release, queued_behind=locked.behind, in_line=place, freeze=freeze)
        redraw_front(
            context,
            context.store.save(waiting, (event,), operation=context.runtime.new_id()),
            locked.behind,
        )
    elif (release.in_line, release.freeze) != (place, freeze):
        waiting = replace(release, in_line=place, freeze=freeze)
        context.store.save(waiting, (), operation=context.runtime.new_id())
    return now + QUEUE_AGAIN_MS


def place_in_line(context: Context, locked: Locked) -> PlaceInLine:
    """Where a waiting release stands, and when the one in front is usually done."""
    card = find_card(context, locked.behind)
    try:
        front = context.store.load(locked.behind)
    except (KeyError, UnknownSchema):
        return PlaceInLine(locked.position, card)
    is_rolling = front.phase is Phase.PROGRESSING and front.rollback is None and front.usual_ms
    progress = front.progress
    done_by = progress.began_at + front.usual_ms + progress.paused_ms if is_rolling else 0
    return PlaceInLine(locked.position, card, done_by)
