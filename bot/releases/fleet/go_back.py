"""The way back of a fleet: waves in reverse order, the parts of a wave side by side, without holds,
soak or approvals. What cannot go back now is named and passed over."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decision import Decision, finish
from bot.releases.facts.changes import Undo
from bot.releases.facts.counts import some_of
from bot.releases.facts.fleet import SHOWN, Part
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort
from bot.releases.fleet.observed import Begin, Order, PartSeen, SeenParts, Tell
from bot.releases.fleet.state import fleet_of, with_fleet, with_part

AGAIN_MS = 5_000


def go_back(decision: Decision, seen: SeenParts, now: int) -> tuple[Decision, tuple[Order, ...]]:
    queued: list[str] = []
    for at in reversed(range(len(fleet_of(decision.release).waves))):
        orders: list[Order] = []
        is_open = False
        for one in fleet_of(decision.release).of_wave(at):
            part, order, waits = _part_back(decision.release, one, seen[one.cluster])
            decision = with_fleet(decision, with_part(fleet_of(decision.release), part))
            orders += [order] if order is not None else []
            queued += [part.cluster] if waits and part.away else []
            is_open = is_open or (waits and not part.away)
        if is_open or orders:
            return decision.wake(now + AGAIN_MS), tuple(orders)
    if queued:
        return decision.wake(now + AGAIN_MS), ()
    return _over(decision, now), ()


def _part_back(release: Release, part: Part, seen: PartSeen) -> tuple[Part, Order | None, bool]:
    """The part as it stands, what is ordered now, and whether it is still on its way."""
    began, undo = seen.release, seen.undo
    if began is None or part.back == "left":
        return part, None, False
    if not began.phase.is_final:
        return _told(release, part, began)
    if began.phase is not Phase.SUCCEEDED:
        return replace(part, back="done"), None, False  # it went back by itself
    if undo is not None:
        return part, None, not undo.phase.is_final
    return _begin_undo(part, began, seen)


def _told(release: Release, part: Part, began: Release) -> tuple[Part, Order | None, bool]:
    running = replace(part, back="running")
    is_told = began.rollback is not None or any(isinstance(a.request, Abort) for a in began.asked)
    if is_told:
        return running, None, True
    reason = release.cause.summary if release.cause is not None else ""
    return running, Tell(began.id, Abort(release.requested_by, reason=reason)), True


def _begin_undo(part: Part, began: Release, seen: PartSeen) -> tuple[Part, Order | None, bool]:
    """To what this fleet found there; what others brought since is left and named."""
    plan, found = began.plan, began.as_found
    if plan is None or found is None:
        return replace(part, back="left", left="nothing is known of what it found"), None, False
    if not seen.image:
        return replace(part, back="running"), None, True
    if seen.image == plan.from_image:
        return replace(part, back="done"), None, False
    if seen.image != plan.image:
        left = f"it runs {seen.version}, which something else brought"
        return replace(part, back="left", left=left), None, False
    change = Undo(template=found.stable.template)
    return replace(part, back="running"), Begin(part.cluster, change), True


def _over(decision: Decision, now: int) -> Decision:
    release = decision.release
    fleet = fleet_of(release)
    ends_as = release.rollback.ends_as if release.rollback is not None else Phase.ABORTED
    back = [one.cluster for one in fleet.parts if one.release and one.back == "done"]
    left = [f"{one.cluster} was left: {one.left}" for one in fleet.parts if one.back == "left"]
    before = release.from_version or "what it was before"
    on = f"{release.target.label} is back on {before} in {some_of(back, SHOWN)}" if back else ""
    text = "; ".join(filter(None, (on, *left))) or "nothing had begun"
    return finish(decision, Phase.FAILED if left else ends_as, now, text)
