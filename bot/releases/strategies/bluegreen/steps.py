"""The steps of a blue/green plan: bring up the candidate, switch, then settle or keep both."""

from __future__ import annotations

from bot.releases.facts.counts import counted
from bot.releases.facts.plan import (
    LET_GO,
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
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS, wave_deadline_of
from bot.releases.strategies.bluegreen.draft import BlueGreenDraft

LEAST_WINDOW_MS = 30_000
"""Old connections drain at least that long before what served them is removed."""


def blue_green_steps(parts: BlueGreenDraft) -> tuple[Step, ...]:
    end = (_keep_both(parts),) if parts.keeps else _settle(parts)
    return (_bring_up(parts), _switch(parts), *end)


def _bring_up(parts: BlueGreenDraft) -> Step:
    draft, candidate = parts.draft, parts.candidate
    goals: list[Goal] = [
        DeploymentGoal(Side.STABLE, claimed=True),
        _candidate_goal(parts, creates=True),
    ]
    if parts.preview:
        goals.append(ServiceGoal(parts.preview, parts.targets[0], create_from=parts.preview_body))
    verb = "start" if candidate.body else "take up"
    beside = draft.from_version or draft.stable.name
    return Step(
        "green",
        f"{verb} {draft.version} beside {beside}: {counted(candidate.replicas, 'pod')} of"
        f" {candidate.name}",
        tuple(goals),
        (Condition.CANDIDATE_MATCHES_STABLE, Condition.CANDIDATE_SELECTED, *_answers(parts)),
        draft.deadline_ms,
        _switch_gates(parts),
        share=0,
        watches=(Side.CANDIDATE,),
        candidates=candidate.replicas,
        stables=draft.stable.replicas,
    )


def _candidate_goal(parts: BlueGreenDraft, *, creates: bool) -> DeploymentGoal:
    candidate = parts.candidate
    return DeploymentGoal(
        Side.CANDIDATE,
        claimed=True,
        paused=False,
        template=candidate.template,
        replicas=candidate.replicas,
        change_cause=parts.draft.cause if candidate.template is not None else None,
        at_least_stable=True,
        create_from=candidate.body if creates else None,
    )


def _answers(parts: BlueGreenDraft) -> tuple[Condition, ...]:
    return (Condition.CANDIDATE_ANSWERS,) if parts.probe else ()


def _switch_gates(parts: BlueGreenDraft) -> tuple[Gate, ...]:
    rules = parts.draft.release.rules
    approvals = rules.approvals
    if rules.bluegreen.promote != "approval" or approvals.promote < 1:
        return ()
    return (
        ApprovalGate(
            "switch",
            approvals.promote,
            approvals.requester_may_approve,
            approvals.expires_ms,
            approvals.on_expiry,
            f"switch {parts.service_names} to {parts.draft.version}",
            voters=approvals.promote_voters,
        ),
    )


def _switch(parts: BlueGreenDraft) -> Step:
    draft, candidate = parts.draft, parts.candidate
    goals: list[Goal] = [_candidate_goal(parts, creates=False)]
    for service, target in zip(parts.services, parts.targets, strict=True):
        # once the first Service is switched the others follow whatever the probe says: half a
        # switch helps nobody
        answers = _answers(parts) if service is parts.services[0] else ()
        goals.append(
            ServiceGoal(service.name, target, when=(Condition.CANDIDATE_SELECTED, *answers))
        )
    window = max(LEAST_WINDOW_MS, draft.release.rules.bluegreen.rollback_window_ms)
    return Step(
        "switch",
        f"switch traffic to {draft.version}",
        tuple(goals),
        (Condition.SERVED_BY_CANDIDATE,),
        wave_deadline_of(draft.stable, draft.release),
        (HoldGate("window", window, title="rollback window", is_rollback_window=True),),
        share=100,
        watches=(Side.CANDIDATE,),
        candidates=candidate.replicas,
        stables=draft.stable.replicas,
    )


def _settle(parts: BlueGreenDraft) -> tuple[Step, ...]:
    """Stable itself on the new version, its Services as they were, the candidate removed."""
    # Where a Service selects by the version label, the new pods of both sides are selected. Then
    # the candidate's pods finish their connections within their own termination grace period, as in
    # any roll.
    apart = all(final != target for final, target in zip(parts.finals, parts.targets, strict=True))
    served = Condition.SERVED_BY_STABLE if apart else Condition.STABLE_SERVES
    return (
        _roll_stable(parts),
        _hand_back(parts, served, drains=apart),
        _remove(parts, served, hands_over=not apart),
        LET_GO,
    )


def _roll_stable(parts: BlueGreenDraft) -> Step:
    draft, candidate = parts.draft, parts.candidate
    stable = draft.stable
    roll = DeploymentGoal(
        Side.STABLE,
        paused=False,
        template=draft.template,
        change_cause=draft.cause,
        when=(Condition.CANDIDATE_SERVES,),
    )
    return Step(
        "settle",
        f"clean up: roll {stable.name} to {draft.version} while {candidate.name} serves",
        (roll,),
        (Condition.STABLE_COMPLETE,),
        draft.deadline_ms,
        share=100,
        watches=(Side.STABLE,),
        candidates=candidate.replicas,
        stables=stable.replicas,
        committed=True,
    )


def _hand_back(parts: BlueGreenDraft, served: Condition, *, drains: bool) -> Step:
    stable = parts.draft.stable
    ready = (Condition.STABLE_COMPLETE, Condition.STABLE_RESELECTED)
    # where both sides are selected, the hand-over is the removal of the candidate
    until = (served, Condition.STABLE_SERVES) if drains else (served, *ready)
    return Step(
        "hand back",
        f"clean up: hand {parts.service_names} back to {stable.name}",
        (
            DeploymentGoal(Side.STABLE, carries_load=True),
            *(
                ServiceGoal(service.name, final, when=ready)
                for service, final in zip(parts.services, parts.finals, strict=True)
            ),
        ),
        until,
        wave_deadline_of(stable, parts.draft.release),
        (HoldGate("drain", LEAST_WINDOW_MS, title="old connections drain"),) if drains else (),
        share=100,
        candidates=parts.candidate.replicas,
        stables=stable.replicas,
        waits_for_capacity=True,
        committed=True,
    )


def _remove(parts: BlueGreenDraft, served: Condition, *, hands_over: bool) -> Step:
    name = parts.candidate.name
    carries = (Condition.STABLE_COMPLETE,) if hands_over else ()
    absent = AbsentGoal("Deployment", name, when=(served, Condition.STABLE_SERVES, *carries))
    return Step(
        "remove",
        f"clean up: remove {name}",
        (*preview_removal(parts.preview), absent),
        (Condition.CANDIDATE_GONE,),
        MINIMUM_DEADLINE_MS,
        share=100,
        committed=True,
    )


def _keep_both(parts: BlueGreenDraft) -> Step:
    goals = (
        *preview_removal(parts.preview),
        DeploymentGoal(Side.CANDIDATE, claimed=False),
        DeploymentGoal(Side.STABLE, claimed=False),
    )
    title = f"let go of both Deployments; {parts.candidate.name} serves"
    return Step("finish", title, goals, (), committed=True)


def preview_removal(preview: str) -> tuple[Goal, ...]:
    return (AbsentGoal("Service", preview),) if preview else ()
