"""What is observed of a fleet's parts: their records, and where it matters what their clusters
run."""

from __future__ import annotations

from functools import partial

from bot.operations.context import Context
from bot.ports import ClusterUnreachable, Refused, UnknownSchema
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.assess.rollout import is_complete
from bot.releases.facts.fleet import Part
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Target
from bot.releases.fleet.observed import PartSeen, SeenParts
from bot.releases.fleet.state import fleet_of
from bot.releases.planning.draft import image_in
from bot.releases.planning.refusals import PlanRefused


def observe_parts(context: Context, release: Release) -> SeenParts:
    """The clusters are asked side by side: one that does not answer delays the others by no more
    than its own limit."""
    parts = fleet_of(release).parts
    began = {one.cluster: _record(context, one.release) for one in parts}
    answers: dict[str, Observation | str] = {}

    def ask(target: Target) -> None:
        answers[target.cluster] = _answer(context, target)

    asked = [one.target for one in parts if _is_asked(release, one, began[one.cluster])]
    if asked:
        context.runtime.run_together([partial(ask, target) for target in asked])
    return {
        part.cluster: _seen(
            part, began[part.cluster], _record(context, part.undo), answers.get(part.cluster)
        )
        for part in parts
    }


def _is_asked(release: Release, part: Part, began: Release | None) -> bool:
    """Whose part waits for its cluster, or is done and must still be seen there."""
    wave, at = fleet_of(release).wave_of(part.cluster), release.progress.at_step
    is_done = began is not None and began.phase is Phase.SUCCEEDED
    if release.rollback is not None:
        return is_done and not part.undo and part.back in ("", "running")
    if began is None:
        return wave <= max(at, 0) or at < 0
    return is_done and wave <= at


def _record(context: Context, release_id: str) -> Release | None:
    if not release_id:
        return None
    try:
        return context.store.load(release_id)
    except (KeyError, UnknownSchema):
        return None


def _answer(context: Context, target: Target) -> Observation | str:
    """What it runs, or why that is not known."""
    try:
        found = context.cluster(target.cluster).observe_apps([target])
    except ClusterUnreachable as away:
        return away.why
    except Refused as refused:
        return str(refused)
    return found.get(target.app, "the app was not found there")


def _seen(
    part: Part,
    release: Release | None,
    undo: Release | None,
    answer: Observation | str | None,
) -> PartSeen:
    if answer is None:
        return PartSeen(release, undo)
    if isinstance(answer, str):
        return PartSeen(release, undo, away=answer)
    target = retarget_to_serving(part.target, answer)
    serves = answer.candidate if target != part.target else answer.stable
    if serves is None:
        return PartSeen(release, undo, away=f"there is no Deployment {part.target.deployment}")
    try:
        image = image_in(serves.template, target)
    except PlanRefused as refused:
        return PartSeen(release, undo, away=str(refused))
    return PartSeen(release, undo, image, version_of(image), is_complete(serves))
