"""Before a release ends by what its record alone says: has the cluster writes of it? Redis may have
lost the moments in which it began."""

from __future__ import annotations

from typing import NamedTuple

from bot.operations.context import Context
from bot.operations.lifecycle.find_stale_claims import find_stale_claims
from bot.operations.lifecycle.observe_release import observe_release, observe_serving
from bot.operations.lifecycle.prepare_release import with_undo_template
from bot.operations.lifecycle.stand_in_line import stand_in_line
from bot.releases.assess.lost_writes import before_own_writes, has_own_writes
from bot.releases.engine.decide import decide_end
from bot.releases.engine.decision import Decision
from bot.releases.engine.lost_start import is_unobserved_end
from bot.releases.facts.observation import Observation, Seen
from bot.releases.facts.release import Release
from bot.releases.planning.refusals import PlanRefused


class Waits(NamedTuple):
    """The release cannot end yet: when to try again (milliseconds of Redis TIME)."""

    wake_at: int | None


def observe_end(context: Context, before: Release, ended: Decision) -> Decision | Waits:
    """``ended``, or the rollback that comes first: what a release wrote is rolled back under its
    locks. Raises VersionConflict."""
    if not is_unobserved_end(before, ended):
        return ended
    release, seen = _observed(context, before)
    if release.plan is None and isinstance(seen, Observation) and has_own_writes(release, seen):
        waiting = stand_in_line(context, before, seen.cluster_uid)
        if waiting is not None:
            return Waits(waiting)
        release, seen = _observed(context, before)
    decision = end_under_locks(context, release, seen, ended)
    if isinstance(seen, Observation) or decision.release.phase.is_final:
        return decision
    context.store.save(decision.release, decision.events, operation=context.runtime.new_id())
    return Waits(decision.wake_at)


def end_under_locks(context: Context, release: Release, seen: Seen, ended: Decision) -> Decision:
    """As ``observe_end``, by what was observed already."""
    if is_unobserved_end(release, ended) and release.plan is None and isinstance(seen, Observation):
        release = _prepared(context, release, before_own_writes(release, seen))
    return decide_end(release, seen, ended, context.store.now())


def _observed(context: Context, release: Release) -> tuple[Release, Seen]:
    if release.plan is not None:
        return release, observe_release(context, release)[1]
    release, _, seen = observe_serving(context, release)
    return release, seen


def _prepared(context: Context, release: Release, found: Observation) -> Release:
    """For the plan that Redis lost."""
    release = find_stale_claims(context, release, found)
    if found.stable is None:
        return release
    try:
        return with_undo_template(context, release, found, found.stable)
    except PlanRefused:
        return release
