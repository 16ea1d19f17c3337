"""One tick of a fleet release: load, observe its parts, decide, save what is intended, order. The
next tick repairs a crash anywhere: what was ordered and not done is ordered again, and a part is
created once."""

from __future__ import annotations

import logging
from dataclasses import replace

from bot.operations.context import Context
from bot.operations.lifecycle.answer_requests import answer_requests
from bot.operations.lifecycle.check_people import check_people
from bot.operations.lifecycle.observe_parts import observe_parts
from bot.operations.lifecycle.stand_in_line import fleet_locks, wait_for_locks
from bot.operations.lifecycle.start_release import same_as_of
from bot.ports import UnknownSchema, VersionConflict
from bot.releases.engine.decision import Decision, enter_phase
from bot.releases.engine.respond import respond
from bot.releases.facts.changes import Undo
from bot.releases.facts.fleet import Fleet
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Finish
from bot.releases.fleet.decide import decide_fleet
from bot.releases.fleet.observed import Begin, Order, Tell
from bot.releases.fleet.state import fleet_of, with_part

log = logging.getLogger(__name__)

ATTEMPTS = 3


def advance_fleet(context: Context, release: Release) -> int | None:
    """Returns when to observe again, None when it is over. Raises VersionConflict."""
    if release.asked:
        answered = answer_requests(context, release)
        release = _save(context, answered, release)
        if release.phase.is_final:
            return None
    if release.phase is Phase.QUEUED:
        waiting = wait_for_locks(context, release, fleet_locks(release))
        if waiting is not None:
            return waiting
        release = _begun(context, release)
    checked = check_people(context, release)
    if isinstance(checked, Decision):
        saved = _save(context, checked, release)
        return None if saved.phase.is_final else checked.wake_at
    seen = observe_parts(context, checked.release)
    decided = decide_fleet(checked.release, seen, context.store.now())
    decision = checked.finish(decided.decision)
    saved = _save(context, decision, release)
    if saved.phase.is_final:
        return None
    carry_out(context, saved, decided.orders)
    if fleet_of(saved).is_catching_up:
        context.store.leave_line(saved.id)  # nothing else waits for a cluster that is away
    return decision.wake_at


def _save(context: Context, decision: Decision, before: Release) -> Release:
    if decision.release == before and not decision.events:
        return before
    return context.store.save(decision.release, decision.events, operation=context.runtime.new_id())


def _begun(context: Context, release: Release) -> Release:
    """Under the locks. An older fleet that waits only for skipped clusters ends: they get the newer
    version."""
    for older in context.store.active(release.target.app, ""):
        if older.id == release.id or older.fleet is None or not older.fleet.is_catching_up:
            continue
        reason = f"{release.id} brings {release.to_version}"
        decision = respond(older, Finish(release.requested_by, reason=reason), context.store.now())
        if not decision.refusal:
            _save(context, decision, older)
    now = context.store.now()
    begun = enter_phase(release, Phase.PROGRESSING, now)
    return replace(begun, started_at=now, queued_behind="", in_line=None)


def carry_out(context: Context, release: Release, orders: tuple[Order, ...]) -> None:
    fleet = fleet_of(release)
    for order in orders:
        match order:
            case Begin():
                fleet = _begin(context, release, fleet, order)
            case Tell():
                _tell(context, order)
    if fleet != fleet_of(release):
        after = replace(release, fleet=fleet)
        context.store.save(after, (), operation=context.runtime.new_id(), wake=True)


def _begin(context: Context, release: Release, fleet: Fleet, order: Begin) -> Fleet:
    """Once, however often it is ordered: by its place in the fleet. A release of the same version
    that runs there already becomes the part."""
    part, is_back = fleet.part(order.cluster), isinstance(order.change, Undo)
    rules = part.rules
    if is_back:  # the way back waits for nobody
        rules = replace(rules, approvals=replace(rules.approvals, start=0))
    draft = Release(
        id="",
        target=part.target,
        rules=rules,
        change=order.change,
        requested_by=release.requested_by,
        channel=part.channel or release.channel,
        reason=release.reason,
        created_at=context.store.now(),
        command=f"rollout undo {part.target.typed}" if is_back else release.command,
        to_version=part.from_version if is_back else release.to_version,
        request_id=release.request_id,
        part_of=release.id,
    )
    created = context.store.create(
        draft,
        dedup_key=f"part:{release.id}:{order.cluster}:{'back' if is_back else 'forward'}",
        same_as=same_as_of(draft),
        operation=context.runtime.new_id(),
    )
    name = created.release.id
    return with_part(fleet, replace(part, undo=name) if is_back else replace(part, release=name))


def _tell(context: Context, order: Tell) -> None:
    """The person was checked as the fleet took the request; a part's gate asks afresh."""
    for _ in range(ATTEMPTS):
        try:
            part = context.store.load(order.release)
        except (KeyError, UnknownSchema):
            return
        decision = respond(part, order.request, context.store.now())
        if decision.refusal:
            log.info("%s does not take %s: %s", part.id, order.request.kind, decision.refusal)
            return
        try:
            context.store.save(
                decision.release, decision.events, operation=context.runtime.new_id(), wake=True
            )
        except VersionConflict:
            continue
        return
