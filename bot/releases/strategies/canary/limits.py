"""What limits a canary: autoscalers that scale stable, quotas, and the catalog's own maximum."""

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
    """The autoscaler that scales stable. ``labels``: of the candidate's pods.

    Raises PlanRefused where several would count the same pods, or one would scale the candidate.
    """
    survey = draft.seen.survey
    scalers = survey.autoscalers if survey else ()
    mine = tuple(scaler for scaler in scalers if scaler.target == draft.stable.name)
    if len(mine) > 1:
        names = ", ".join(scaler.name for scaler in mine)
        raise PlanRefused(
            f"Several HorizontalPodAutoscalers scale {draft.stable.name}: {names}. Keep one of"
            " them."
        )
    other = next((scaler for scaler in scalers if scaler.target == candidate), None)
    if other is not None:
        raise PlanRefused(
            f"HorizontalPodAutoscaler {other.name} scales {candidate}, whose replicas the release"
            " sets. Remove it first."
        )
    _refuse_overlap(draft, candidate, labels, mine)
    if draft.release.rules.canary.mode == "shift":
        _refuse_shift(draft, mine)
    return mine[0] if mine else None


def _refuse_overlap(
    draft: Draft, candidate: str, labels: dict[str, str], mine: tuple[AutoscalerSeen, ...]
) -> None:
    """An autoscaler counts every pod that its target's selector matches."""
    survey = draft.seen.survey
    if survey is None:
        return
    counting = {
        item.name
        for item in survey.selecting
        if item.kind == "Deployment" and matches(item.selector, labels)
    }
    overlapping = [scaler for scaler in survey.autoscalers if scaler.target in counting]
    if overlapping:
        names = " and ".join(scaler.name for scaler in (*mine, *overlapping))
        raise PlanRefused(
            f"HorizontalPodAutoscaler {names} would count the pods of {candidate}: the selector of"
            f" {overlapping[0].target} matches them too. Give it a label of its own."
        )


def _refuse_shift(draft: Draft, mine: tuple[AutoscalerSeen, ...]) -> None:
    """Whatever else sets stable's replicas would undo its shrinking."""
    stable = draft.stable
    if mine:
        raise PlanRefused(
            f"HorizontalPodAutoscaler {mine[0].name} would undo the shrinking of {stable.name}."
            f" Set `canary: {{mode: add}}` for {draft.release.target.app}."
        )
    who = managed_elsewhere(stable, ("spec.replicas",))
    if who and draft.release.rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"{stable.name} is managed elsewhere: {who} would undo its shrinking. Set"
            f" `canary: {{mode: add}}` for {draft.release.target.app}."
        )


@dataclass(frozen=True)
class Room:
    """How many candidates may run. ``at_promotion`` None: any number. ``why``: what an autoscaler's
    maximum leaves, where that is the limit."""

    in_steps: int
    at_promotion: int | None
    why: str = ""


def room_for(draft: Draft, adopted: DeploymentSeen | None, scaler: AutoscalerSeen | None) -> Room:
    """Raises PlanRefused where there is no room for a single pod.

    An autoscaler's maximum says how many pods of this app may run at most: candidates keep within
    it, unless the catalog sets `max_candidates`.
    """
    stable, rules = draft.stable, draft.release.rules
    allowed = rules.canary.max_candidates
    if allowed is not None and allowed < 1:
        raise PlanRefused(
            f"`max_candidates` of {draft.release.target.app} is {allowed}, but a canary needs at"
            " least one pod. Raise it in the catalog."
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
                f" HorizontalPodAutoscaler {scaler.name} allows. Raise its maximum, or set `canary:"
                f" {{max_candidates: 1}}` for {draft.release.target.app} to go beyond it."
            )
    room = _quota_room(draft, adopted, top)
    is_free = room >= max(most, stable.replicas)
    return Room(min(most, room), None if is_free else room, why if room == top else "")


def _quota_room(draft: Draft, adopted: DeploymentSeen | None, top: int) -> int:
    """How many candidates quotas have room for, ``top`` at most. Raises PlanRefused."""
    quotas = draft.seen.survey.quotas if draft.seen.survey else ()
    present = adopted.replicas if adopted else 0
    created = {} if adopted else {"deployments": 1}
    # stable itself needs one more pod while it rolls without unavailable ones
    rolls = 1 if fence_posts(draft.stable)[1] == 0 else 0
    room = present
    while room < top and not shortages(
        quotas, draft.template, room + 1 - present + rolls, **created
    ):
        room += 1
    if room < 1:
        short = "; ".join(shortages(quotas, draft.template, 1 + rolls, **created))
        raise PlanRefused(
            f"There is no room for a single canary pod: {short}. Raise the quota, or deploy it"
            " rolling."
        )
    return min(room, top)
