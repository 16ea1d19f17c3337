"""The steps of a canary's plan: one for each share, the promotion, and the removal."""

from __future__ import annotations

from typing import Any

from bot.releases.facts.changes import Deploy
from bot.releases.facts.counts import counted
from bot.releases.facts.plan import (
    AbsentGoal,
    ApprovalGate,
    Condition,
    DeploymentGoal,
    Gate,
    Goal,
    HoldGate,
    ServiceGoal,
    Side,
    Step,
)
from bot.releases.facts.replicas import Split, surge_for_promotion
from bot.releases.planning.capacity import fence_posts, wave_deadline_of
from bot.releases.planning.draft import Draft
from bot.releases.strategies.canary.draft import CanaryDraft

STICKY: dict[str, Any] = {
    "sessionAffinity": "ClientIP",
    # what the API server fills in: three hours
    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10_800}},
}
# Endpoints follow readiness a moment later, and traffic follows endpoints: nothing that serves is
# removed before both hold.
CANDIDATES_SERVE = (Condition.CANDIDATE_COMPLETE, Condition.CANDIDATE_LISTED)
STABLE_SERVES = (Condition.STABLE_COMPLETE, Condition.STABLE_SERVES)


def canary_steps(canary: CanaryDraft) -> tuple[Step, ...]:
    shares = (_share_step(canary, index) for index in range(len(canary.splits)))
    return (*shares, _promotion(canary), _finish(canary))


def _share_step(canary: CanaryDraft, index: int) -> Step:
    draft, split = canary.draft, canary.splits[index]
    shifts = split.stables < draft.stable.replicas
    return Step(
        f"share-{split.percent}",
        f"{split.percent}% to {draft.version}: {counted(split.candidates, 'canary pod')} beside"
        f" {split.stables}",
        _share_goals(canary, index, shifts=shifts),
        (*CANDIDATES_SERVE, Condition.STABLE_COMPLETE) if shifts else CANDIDATES_SERVE,
        wave_deadline_of(draft.stable, draft.release),
        gates=_gates(draft, split, last=index == len(canary.splits) - 1),
        share=split.percent,
        wanted_share=canary.percents[index],
        candidates=split.candidates,
        stables=split.stables,
        watches=(Side.CANDIDATE,),
    )


def _share_goals(canary: CanaryDraft, index: int, *, shifts: bool) -> tuple[Goal, ...]:
    split, is_first = canary.splits[index], index == 0
    goals: list[Goal] = []
    if is_first:
        goals.append(DeploymentGoal(Side.STABLE, claimed=True))
        if canary.is_sticky:
            goals += [
                ServiceGoal(service.name, affinity=STICKY)
                for service in canary.services
                if service.affinity.get("sessionAffinity") != "ClientIP"
            ]
    goals.append(
        DeploymentGoal(
            Side.CANDIDATE,
            claimed=True,
            replicas=split.candidates,
            # whatever shrinks stable, an autoscaler or a person, must not make the share grow
            at_most_share=max(canary.percents[index], 0 if canary.scaler else split.percent),
            create_from=canary.body if is_first else None,
        )
    )
    if shifts:
        goals.append(DeploymentGoal(Side.STABLE, replicas=split.stables, when=CANDIDATES_SERVE))
    return tuple(goals)


def _gates(draft: Draft, split: Split, *, last: bool) -> tuple[Gate, ...]:
    change, rules = draft.release.change, draft.release.rules
    hold = (
        change.hold_ms
        if isinstance(change, Deploy) and change.hold_ms is not None
        else rules.canary.hold_ms
    )
    gates: list[Gate] = (
        [HoldGate("hold", hold, judged=True, title=f"hold at {split.percent}%")] if hold > 0 else []
    )
    if last and rules.canary.promote == "approval" and rules.approvals.promote > 0:
        approvals = rules.approvals
        gates.append(
            ApprovalGate(
                "promote",
                approvals.promote,
                approvals.requester_may_approve,
                approvals.expires_ms,
                approvals.on_expiry,
                f"promote {draft.release.target.label} to {draft.version}",
                voters=approvals.promote_voters,
            )
        )
    return tuple(gates)


def _promotion(canary: CanaryDraft) -> Step:
    """Stable rolls while at least as many candidates serve as it may lack. A stable that was shrunk
    grows again in the same patch."""
    draft, last = canary.draft, canary.splits[-1]
    stable = draft.stable
    candidates = surge_for_promotion(
        stable.replicas, fence_posts(stable)[1], last.candidates, canary.room.at_promotion
    )
    was_shrunk = last.stables < stable.replicas and canary.scaler is None
    return Step(
        "promote",
        f"promote {stable.name} to {draft.version}",
        (
            DeploymentGoal(
                Side.CANDIDATE,
                replicas=candidates,
                beside=None if was_shrunk else stable.replicas,
                at_most=canary.room.at_promotion,
            ),
            DeploymentGoal(
                Side.STABLE,
                template=draft.template,
                paused=False,
                change_cause=draft.cause,
                replicas=stable.replicas if was_shrunk else None,
                when=CANDIDATES_SERVE,
            ),
        ),
        STABLE_SERVES,
        draft.deadline_ms,
        share=100,
        wanted_share=100,
        candidates=candidates,
        stables=stable.replicas,
        watches=(Side.STABLE, Side.CANDIDATE),
    )


def _finish(canary: CanaryDraft) -> Step:
    """Begins when stable is whole, so it has no deadline: what is left to do here is no reason to
    roll back a good version."""
    affinities = (
        tuple(ServiceGoal(s.name, affinity=s.affinity) for s in canary.services)
        if canary.is_sticky
        else ()
    )
    return Step(
        "finish",
        "remove the canary pods",
        (
            *_carrying(canary),
            AbsentGoal(
                "Deployment",
                canary.name,
                when=(*STABLE_SERVES, Condition.STABLE_TAKES_OVER)
                if canary.scaler
                else STABLE_SERVES,
            ),
            *affinities,
            DeploymentGoal(Side.STABLE, claimed=False, when=(Condition.CANDIDATE_GONE,)),
        ),
        (Condition.CANDIDATE_GONE,),
        candidates=0,
        stables=canary.draft.stable.replicas,
        waits_for_capacity=canary.scaler is not None,
        committed=True,
    )


def _carrying(canary: CanaryDraft) -> tuple[Goal, ...]:
    """An autoscaler may have made stable smaller while the candidates took load from it."""
    return (DeploymentGoal(Side.STABLE, carries_load=True),) if canary.scaler else ()
