"""Create the parent of a fleet release: its parts are created when their wave comes."""

from __future__ import annotations

import json
from dataclasses import replace

from bot.operations.context import App, Context
from bot.operations.delivery.find_card import find_card
from bot.operations.lifecycle.start_release import refusal_at_once, version_words
from bot.operations.replies import Receipt, Refusal, Reply
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.fleet import Fleet, Part, Wave
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Progress, Release, Rollback
from bot.releases.facts.target import Target
from bot.releases.fleet.plan import with_fleet_plan
from bot.releases.fleet.state import fleet_of
from bot.request_id import current_work


def start_fleet(
    context: Context,
    waves: tuple[Wave, ...],
    apps: tuple[App, ...],
    change: Deploy,
    *,
    by: Person,
    channel: str,
    reason: str,
    command: str,
    dedup_key: str,
) -> Reply:
    """Refused where it would be in one of its clusters: then nothing starts anywhere."""
    for app in apps:
        refusal = refusal_at_once(context, app, change, by=by, channel=channel, reason=reason)
        if refusal is not None:
            return replace(refusal, line=f"{app.target.cluster}: {refusal.line}")
    draft = fleet_draft(context, waves, apps, change, by=by, channel=channel, reason=reason)
    draft = replace(draft, command=command)
    return _created(context, draft, dedup_key, json.dumps(["fleet", draft.target.app, command]))


def fleet_draft(
    context: Context,
    waves: tuple[Wave, ...],
    apps: tuple[App, ...],
    change: Deploy,
    *,
    by: Person,
    channel: str,
    reason: str,
) -> Release:
    """With its plan: the order of the waves and the gates at which the fleet asks."""
    first = apps[0]
    parts = tuple(
        Part(app.target, app.rules, app.channel if app.channel != first.channel else "")
        for app in apps
    )
    draft = Release(
        id="",
        target=_target(first.target, tuple(app.target.cluster for app in apps)),
        rules=first.rules,
        change=change,
        requested_by=by,
        channel=first.channel or channel,
        reason=reason,
        created_at=context.store.now(),
        progress=Progress(at_step=-1),
        to_version=version_words(change),
        request_id=current_work().request,
    )
    return with_fleet_plan(draft, Fleet(waves, parts))


def _target(of: Target, clusters: tuple[str, ...]) -> Target:
    """Of the app in all its clusters: no object is written by it."""
    return replace(
        of, cluster="", clusters=clusters, among_clusters=False, one_of_many=False, idle=""
    )


def undo_fleet(
    context: Context, last: Release, *, by: Person, reason: str, command: str, dedup_key: str
) -> Reply:
    """What ``last`` brought goes back, the last wave first, to what it found. It waits for no lock:
    a way back never does."""
    fleet, now = fleet_of(last), context.store.now()
    if not any(one.state == "done" and one.back != "done" for one in fleet.parts):
        return Refusal(f"{last.id} left nothing to roll back: {last.phase.words}.")
    draft = replace(
        last,
        id="",
        change=Undo(),
        requested_by=by,
        reason=reason,
        command=command,
        created_at=now,
        started_at=now,
        finished_at=0,
        phase=Phase.ROLLING_BACK,
        phase_since=now,
        from_version=last.to_version,
        to_version=last.from_version,
        rollback=Rollback(Phase.SUCCEEDED),
        progress=Progress(at_step=len(fleet.waves)),
        cause=None,
        tolerated=(),
        passed=(),
        asked=(),
        card_ts="",
        request_id=current_work().request,
        latest_request_id="",
        fleet=replace(fleet, is_catching_up=False),
        newer_record=None,
    )
    same_as = json.dumps(["fleet undo", last.target.app, last.id])
    return _created(context, draft, dedup_key, same_as)


def _created(context: Context, draft: Release, dedup_key: str, same_as: str) -> Receipt:
    """The same of the same app while it runs gives that release."""
    created = context.store.create(
        draft, dedup_key=dedup_key, same_as=same_as, operation=context.runtime.new_id()
    )
    release = created.release
    card = "" if created.fresh else find_card(context, release.id)
    return Receipt(
        release, created.fresh, release.queued_behind, release.channel != draft.channel, card=card
    )


def running_fleet(context: Context, app: str) -> Release | None:
    """The first that is not over."""
    return next(iter(context.store.active(app, "")), None)


def last_fleet(context: Context, app: str) -> Release | None:
    return next(iter(context.store.recent(app, "", limit=1)), None)
