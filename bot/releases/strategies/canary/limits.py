"""What bounds a canary: autoscalers that move its neighbours, quotas, and the catalog's own
maximum."""

from __future__ import annotations

from dataclasses import dataclass

from bot.releases.assess.selectors import matches
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen
from bot.releases.planning.capacity import fence_posts
from bot.releases.planning.draft import Draft
from bot.releases.planning.quotas import shortages
from bot.releases.planning.refusals import PlanRefused, managed_elsewhere


def autoscaler_of(draft: Draft, candidate: str, labels: dict[str, str]) -> AutoscalerSeen | None:
    """The one that moves stable. ``labels``: of the candidate's pods. Raises PlanRefused where two
    would count the same pods."""
    stable, rules = draft.stable, draft.release.rules
    survey = draft.seen.survey
    scalers = survey.autoscalers if survey else ()
    mine = [scaler for scaler in scalers if scaler.target == stable.name]
    if len(mine) > 1:
        names = ", ".join(scaler.name for scaler in mine)
        raise PlanRefused(
            f"several HorizontalPodAutoscalers move {stable.name}: {names}; leave one of them"
        )
    other = next((scaler for scaler in scalers if scaler.target == candidate), None)
    if other is not None:
        raise PlanRefused(
            f"HorizontalPodAutoscaler {other.name} moves the replicas of {candidate}, which the"
            " release sets: remove it first"
        )
    counting = {
        item.name
        for item in (survey.selecting if survey else ())
        if item.kind == "Deployment" and matches(item.selector, labels)
    }
    overlapping = [scaler for scaler in scalers if scaler.target in counting]
    if overlapping:
        names = " and ".join(scaler.name for scaler in (*mine, *overlapping))
        raise PlanRefused(
            f"the pods of {candidate} would count for HorizontalPodAutoscaler {names}: the selector"
            f" of {overlapping[0].target} matches them too; give it a label of its own"
        )
    if mine and rules.canary.mode == "shift":
        raise PlanRefused(
            f"HorizontalPodAutoscaler {mine[0].name} would undo the shrinking of {stable.name}: "
            f"set `canary: {{mode: add}}` for {draft.release.target.app}"
        )
    who = managed_elsewhere(stable, ("spec.replicas",)) if rules.canary.mode == "shift" else ""
    if who and rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"{stable.name} is managed elsewhere: {who} would undo its shrinking; set `canary:"
            " {mode: add}`"
        )
    return mine[0] if mine else None


@dataclass(frozen=True)
class Room:
    """Candidates that may run. ``at_promotion`` None: any number. ``why``: what an autoscaler's
    maximum leaves, where that is the limit."""

    in_steps: int
    at_promotion: int | None
    why: str = ""


def room_for(draft: Draft, there: DeploymentSeen | None, scaler: AutoscalerSeen | None) -> Room:
    """``there``: an adopted candidate. Raises PlanRefused where not one pod has room.

    An autoscaler's maximum is how many pods somebody wants of this app at most: candidates keep
    within it, unless the catalog says with `max_candidates` how many there may be.
    """
    stable, rules = draft.stable, draft.release.rules
    allowed = rules.canary.max_candidates
    if allowed is not None and allowed < 1:
        raise PlanRefused(
            f"`max_candidates` of {draft.release.target.app} is {allowed}: a canary needs at least"
            " one pod"
        )
    most = stable.replicas if allowed is None else allowed
    top, why = max(most, stable.replicas), ""
    if scaler is not None and allowed is None and scaler.max_replicas - stable.replicas < top:
        top = max(scaler.max_replicas - stable.replicas, 0)
        why = (
            f"; HorizontalPodAutoscaler {scaler.name} allows {counted(scaler.max_replicas, 'pod')}"
            " in all"
        )
        if top < 1:
            raise PlanRefused(
                f"{stable.name} has {counted(stable.replicas, 'pod')}, as many as"
                f" HorizontalPodAutoscaler {scaler.name} allows: raise its maximum, or set `canary:"
                f" {{max_candidates: 1}}` for {draft.release.target.app} to go beyond it"
            )
    room = _quota_room(draft, there, top)
    is_free = room >= max(most, stable.replicas)
    return Room(min(most, room), None if is_free else room, why if room == top else "")


def _quota_room(draft: Draft, there: DeploymentSeen | None, top: int) -> int:
    """Candidates, ``top`` at most, that quotas have room for. Raises PlanRefused."""
    quotas = draft.seen.survey.quotas if draft.seen.survey else ()
    has = there.replicas if there else 0
    made = {} if there else {"deployments": 1}
    rolls = (
        1 if fence_posts(draft.stable)[1] == 0 else 0
    )  # stable itself needs a pod more while it rolls
    room = has
    while room < top and not shortages(quotas, draft.template, room + 1 - has + rolls, **made):
        room += 1
    if room < 1:
        short = "; ".join(shortages(quotas, draft.template, 1 + rolls, **made))
        raise PlanRefused(f"no room for a single canary pod: {short}")
    return min(room, top)
