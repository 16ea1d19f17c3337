"""Create a release from what a person asked for. One Redis script does it all or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict

from bot.operations.access.freezes_in_force import freezes_in_force
from bot.operations.access.locks_for import locks_for
from bot.operations.access.refuse import refuse
from bot.operations.context import App, Context
from bot.operations.delivery.find_card import find_card
from bot.operations.replies import Receipt, Refusal, Reply
from bot.policy.decision import STARTING, Start
from bot.releases.facts.changes import Change, Deploy, Scale, Undo
from bot.releases.facts.counts import counted
from bot.releases.facts.images import ImageMistake, resolve_image
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.request_id import current_work


def start_release(
    context: Context,
    app: App,
    change: Change,
    *,
    by: Person,
    channel: str,
    reason: str,
    command: str,
    dedup_key: str,
    tick_in_ms: int = 0,
) -> Reply:
    """The same change of the same app while it runs or waits gives that release; fifty people
    typing it start one. ``tick_in_ms``: when its first tick is due."""
    now = context.store.now()
    refusal = refusal_at_once(context, app, change, by=by, channel=channel, reason=reason)
    if refusal is not None:
        return refusal
    draft = Release(
        id="",
        target=app.target,
        rules=app.rules,
        change=change,
        requested_by=by,
        channel=app.channel or channel,
        reason=reason,
        created_at=now,
        command=command,
        to_version=version_words(change),
        request_id=current_work().request,
    )
    created = context.store.create(
        draft,
        dedup_key=dedup_key,
        same_as=same_as_of(draft),
        operation=context.runtime.new_id(),
        tick_in_ms=tick_in_ms,
    )
    release = created.release
    behind = release.queued_behind or _in_front(context, release)
    card = "" if created.fresh else find_card(context, release.id)
    return Receipt(release, created.fresh, behind, elsewhere=release.channel != channel, card=card)


def same_as_of(draft: Release) -> str:
    """Two releases never bring the same version: not even by another strategy."""
    change, target = draft.change, draft.target
    what = ["version", change.version] if isinstance(change, Deploy) else asdict(change)
    return json.dumps([target.cluster, target.app, what], sort_keys=True)


def refusal_at_once(
    context: Context, app: App, change: Change, *, by: Person, channel: str, reason: str
) -> Refusal | None:
    """What needs no cluster to know."""
    return (
        may_not_start(context, app, change, by=by, reason=reason)
        or _refused_by_catalog(app, change, app.channel or channel)
        or _nobody_would_see(context, app.channel or channel)
    )


def _in_front(context: Context, release: Release) -> str:
    """The last release before this one of the same app and place: the worker has not yet queued
    it."""
    if release.phase is not Phase.QUEUED:
        return ""
    target = release.target
    active = context.store.active(target.app, target.cluster)
    here = [r for r in active if r.target.namespace == target.namespace]
    before = [r for r in here if r.held is None]
    ids = [r.id for r in before]
    return ids[ids.index(release.id) - 1] if release.id in ids[1:] else ""


def version_words(change: Change) -> str:
    """Before its plan: what it brings, as people read it."""
    if isinstance(change, Deploy):
        return change.version.rpartition(":")[2] if "/" in change.version else change.version
    if isinstance(change, Scale):
        return counted(change.replicas, "pod")
    if isinstance(change, Undo):
        return f"revision {change.to_revision}" if change.to_revision else "the last good version"
    return change.kind


def may_not_start(
    context: Context, app: App, change: Change, *, by: Person, reason: str
) -> Refusal | None:
    """Releases are frozen, or the strategy is not one of the app's; and this is neither an undo nor
    an admin with a reason."""
    freezes, locks = freezes_in_force(context), locks_for(context, by, app.target)
    start = Start(app.target, change, reason, freezes, app.rules, locks)
    return refuse(context, by, STARTING, thing=start)


def _nobody_would_see(context: Context, channel: str) -> Refusal | None:
    """Without its card in the channel nobody follows a release, and nobody can approve it."""
    why = context.messenger.why_not_in(channel)
    if not why:
        return None
    invite = "Type `/invite @Pilothouse` there, then send it again: nothing was started."
    match why:
        case "archived":
            return Refusal(f"<#{channel}> is archived: the card cannot be posted there.")
        case "not a member":
            return Refusal(f"I am not a member of <#{channel}>: I cannot post the card.", invite)
        case _:
            return Refusal(f"I do not see <#{channel}>: I cannot post the card.", invite)


def _refused_by_catalog(app: App, change: Change, channel: str) -> Refusal | None:
    """What the catalog alone refuses; the rest is up to the plan."""
    name = app.target.app
    if not channel:  # asked for in the home tab
        return Refusal(
            f"{name} has no channel for its card.",
            "Add `channel` to its catalog entry, or deploy it in a channel.",
        )
    if isinstance(change, Deploy):
        if app.target.images or "/" not in change.version:
            running = app.target.images[0] if app.target.images else "any/image"
            try:
                resolve_image(change.version, running=running, allowed=app.target.images)
            except ImageMistake as mistake:
                return Refusal(str(mistake))
        if change.strategy is not Strategy.ROLLING and not app.target.services:
            return Refusal(
                f"{name} has no Service, so traffic cannot be shared.",
                "Deploy it rolling.",
                field="strategy",
            )
    if isinstance(change, Scale):
        rules = app.rules
        if change.replicas < rules.scale_min or (
            rules.scale_max is not None and change.replicas > rules.scale_max
        ):
            top = rules.scale_max if rules.scale_max is not None else "any number of"
            return Refusal(
                f"{name} may have {rules.scale_min} to {top} replicas, not {change.replicas}."
            )
    return None
