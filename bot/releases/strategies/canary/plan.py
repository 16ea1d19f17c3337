"""Canary: a second Deployment behind the same Service, so that the share of traffic is the share of
ready endpoints.

Its share rises step by step while it is compared with stable. At the promotion stable rolls to the
new version while the candidates serve, then they go. The way back takes the candidates out first:
whatever they do, nobody meets them any more.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

from bot.releases.assess.intents import CAUSE_ANNOTATION, CLAIM_ANNOTATION, find, is_ours
from bot.releases.assess.rollout import pods_of
from bot.releases.assess.selectors import selects
from bot.releases.facts.changes import Deploy
from bot.releases.facts.counts import counted
from bot.releases.facts.images import version_of
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.plan import (
    LET_GO,
    AbsentGoal,
    ApprovalGate,
    Condition,
    DeploymentGoal,
    Gate,
    Goal,
    HoldGate,
    Plan,
    ServiceGoal,
    Side,
    Step,
)
from bot.releases.facts.release import Release
from bot.releases.facts.replicas import Bounds, CannotSplit, Split, split_steps, surge_for_promotion
from bot.releases.facts.target import CANDIDATE_SUFFIX, Strategy
from bot.releases.planning.as_found import found_cause
from bot.releases.planning.candidate import refuse_second_copy
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS, fence_posts, floor_of
from bot.releases.planning.draft import Draft, running_image
from bot.releases.planning.refusals import PlanRefused, is_tracking_label, managed_elsewhere
from bot.releases.planning.selection import keeps_own_selector, stays_selected
from bot.releases.strategies.canary.limits import autoscaler_of, room_for
from bot.releases.strategies.canary.notes import (
    adoption_note,
    autoscaler_note,
    budget_notes,
    leftover_notes,
    promotion_note,
    share_notes,
    shift_note,
    traffic_notes,
)

SUFFIX = CANDIDATE_SUFFIX[Strategy.CANARY]
TRACK = "track"
STICKY: dict[str, Any] = {
    "sessionAffinity": "ClientIP",
    "sessionAffinityConfig": {
        "clientIP": {"timeoutSeconds": 10_800}
    },  # what the API server fills in: three hours
}
# Endpoints follow readiness a moment later, and traffic goes by endpoints: nothing that serves is
# taken away before both hold.
_CANDIDATES_SERVE = (Condition.CANDIDATE_COMPLETE, Condition.CANDIDATE_LISTED)
_STABLE_SERVES = (Condition.STABLE_COMPLETE, Condition.STABLE_SERVES)


def plan(draft: Draft) -> Plan:
    services = _services(draft)
    refuse_second_copy(draft, "stable and canary")
    keeps_own_selector(draft)
    percents = _percents(draft)
    there = _adopted(draft)
    body = _body(draft)
    labels = _labels(there.template if there else body["spec"]["template"])
    stays_selected(draft, labels, f"{draft.stable.name}{SUFFIX}")
    scaler = autoscaler_of(draft, f"{draft.stable.name}{SUFFIX}", labels)
    room = room_for(draft, there, scaler)
    bounds = Bounds(
        draft.stable.replicas, room.in_steps, shift=draft.release.rules.canary.mode == "shift"
    )
    try:
        splits = split_steps(percents, bounds)
    except CannotSplit as cannot:
        raise PlanRefused(f"{cannot}{room.why}") from cannot
    first = None if there else body
    steps = [
        _share_step(draft, index, percents, splits, services, first, scaler)
        for index in range(len(splits))
    ]
    steps += [_promotion(draft, splits[-1], room.at_promotion, scaler), _finish(draft, services)]
    unavailable = fence_posts(draft.stable)[1]
    return draft.plan(
        steps=tuple(steps),
        candidate=f"{draft.stable.name}{SUFFIX}",
        failed_candidate_to_zero=True,
        floor=min(floor_of(draft.stable), *(split.stables for split in splits)),
        deadline_ms=sum(step.deadline_ms or 0 for step in steps),
        has_autoscaler=scaler is not None,
        autoscaler=(scaler.min_replicas, scaler.max_replicas) if scaler else None,
        notes=(
            *adoption_note(draft, there),
            *share_notes(percents, splits, bounds),
            *shift_note(draft, splits[-1]),
            *promotion_note(draft, splits[-1], unavailable, room.at_promotion),
            *autoscaler_note(scaler, splits[-1], room.why),
            *budget_notes(draft, labels),
            *traffic_notes(draft, services, sticky=_is_sticky(draft)),
            *leftover_notes(draft),
        ),
    )


# --- what cannot be released that way -------------------------------------------------------------


def _services(draft: Draft) -> tuple[ServiceSeen, ...]:
    app, rules = draft.release.target.app, draft.release.rules
    found = {service.name: service for service in draft.seen.services}
    services = tuple(found[name] for name in draft.release.target.services if name in found)
    if not services:
        raise PlanRefused(
            f"{app} has no Service, so there is no traffic to share: name it as `service:` in the"
            " catalog, or deploy it rolling"
        )
    for service in services:
        if not service.selector:
            raise PlanRefused(
                f"Service {service.name} has no selector, so a canary would get no traffic: deploy"
                f" {app} rolling"
            )
        if not selects(service.selector, _labels(draft.stable.template)):
            raise PlanRefused(
                f"Service {service.name} does not select {draft.stable.name}'s pods: fix `service:`"
                f" of {app}"
            )
        who = managed_elsewhere(service, ("spec.sessionAffinity",)) if _is_sticky(draft) else ""
        if who and rules.managed_elsewhere == "refuse":
            raise PlanRefused(
                f"Service {service.name} is managed elsewhere: {who} would take the session"
                " affinity back; leave `sticky` out"
            )
    return services


def _is_sticky(draft: Draft) -> bool:
    return isinstance(draft.release.change, Deploy) and draft.release.change.sticky


def _percents(draft: Draft) -> tuple[int, ...]:
    """The shares before the promotion; a final 100 is the promotion itself."""
    change = draft.release.change
    given = (
        change.steps
        if isinstance(change, Deploy) and change.steps is not None
        else draft.release.rules.canary.steps
    )
    percents = given[:-1] if given[-1:] == (100,) else given
    if not percents:
        raise PlanRefused(
            "a canary needs a share between 1 and 99 % before the promotion, for instance"
            " steps=20,50; or deploy it rolling"
        )
    wrong = next((share for share in percents if not 1 <= share <= 99), None)
    if wrong is not None:
        raise PlanRefused(
            f"{wrong} % is not a share for a canary: steps lie between 1 and 99, and a final 100 is"
            " the promotion"
        )
    if any(later <= earlier for earlier, later in pairwise(percents)):
        raise PlanRefused(
            f"the steps must rise: {', '.join(map(str, percents))}; write for instance steps=20,50"
        )
    return percents


def _adopted(draft: Draft) -> DeploymentSeen | None:
    """A canary begun by hand, if it can be adopted; None when there is none. Raises PlanRefused for
    any other leftover."""
    name = f"{draft.stable.name}{SUFFIX}"
    survey = draft.seen.survey
    nearby = (draft.seen.candidate, *(survey.leftovers if survey else ()))
    there = next((item for item in nearby if item is not None and item.name == name), None)
    if there is None:
        return None
    remove = f"kubectl -n {draft.release.target.namespace} delete deployment {name}"
    if there.terminating:
        raise PlanRefused(f"{name} is just being deleted: try again in a moment")
    if there.claim and there.claim != draft.release.id:
        raise PlanRefused(
            f"{name} is left over from release {there.claim}, which does not run any more; remove"
            f" it with {remove}"
        )
    image = running_image(there.template, draft.release)
    if image != draft.image:
        raise PlanRefused(
            f"{name} runs {version_of(image)} and belongs to no release: deploy {version_of(image)}"
            f" canary to adopt it, or remove it with {remove}"
        )
    if there.paused:
        raise PlanRefused(
            f"{name} is paused and cannot be adopted: kubectl rollout resume deployment/{name}, or"
            f" remove it: {remove}"
        )
    who = managed_elsewhere(there, ("spec.replicas",))
    if who and draft.release.rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"{name} is managed elsewhere: {who} would undo its scaling; change it there"
        )
    return there


# --- the candidate --------------------------------------------------------------------------------


def _labels(template: Any) -> dict[str, str]:
    return dict(template.get("metadata", {}).get("labels") or {})


def _body(draft: Draft) -> dict[str, Any]:
    """Stable's template with the new image; inert until it is made live: replicas 0 and claimed.

    `track: canary` in its selector keeps it from taking stable's pods over, whatever labels they
    share.
    """
    release, stable = draft.release, draft.stable
    template = copy.deepcopy(draft.template)
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[TRACK] = "canary"
    selector = copy.deepcopy(stable.selector)
    keys = set(selector.get("matchLabels") or {}) | {TRACK}
    selector["matchLabels"] = {key: labels[key] for key in sorted(keys) if key in labels}
    rules = [
        rule for rule in selector.pop("matchExpressions", None) or () if rule.get("key") != TRACK
    ]
    if rules:
        selector["matchExpressions"] = rules
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{stable.name}{SUFFIX}",
            "namespace": release.target.namespace,
            "labels": {
                key: value
                for key, value in {**stable.labels, TRACK: "canary"}.items()
                if not is_tracking_label(key)
            },
            "annotations": {CLAIM_ANNOTATION: release.id, CAUSE_ANNOTATION: draft.cause},
        },
        "spec": {
            "replicas": 0,
            "selector": selector,
            "template": template,
            "strategy": copy.deepcopy(stable.strategy),
            "minReadySeconds": stable.min_ready_seconds,
            "progressDeadlineSeconds": stable.progress_deadline_seconds,
        },
    }


# --- the way there --------------------------------------------------------------------------------


def _share_step(
    draft: Draft,
    index: int,
    percents: tuple[int, ...],
    splits: tuple[Split, ...],
    services: tuple[ServiceSeen, ...],
    body: Any,
    scaler: AutoscalerSeen | None,
) -> Step:
    split, first = splits[index], index == 0
    shifts = split.stables < draft.stable.replicas
    goals: list[Goal] = []
    if first:
        goals.append(DeploymentGoal(Side.STABLE, claimed=True))
        if _is_sticky(draft):
            goals += [
                ServiceGoal(s.name, affinity=STICKY)
                for s in services
                if s.affinity.get("sessionAffinity") != "ClientIP"
            ]
    follows = (
        percents[index] if scaler else None
    )  # an autoscaler that shrinks stable must not make the share grow
    made_of = body if first else None
    goals.append(
        DeploymentGoal(
            Side.CANDIDATE,
            claimed=True,
            replicas=split.candidates,
            at_most_share=follows,
            create_from=made_of,
        )
    )
    if shifts:
        goals.append(DeploymentGoal(Side.STABLE, replicas=split.stables, when=_CANDIDATES_SERVE))
    return Step(
        f"share-{split.percent}",
        f"{split.percent} % to {draft.version}: {counted(split.candidates, 'canary pod')} beside"
        f" {split.stables}",
        tuple(goals),
        (*_CANDIDATES_SERVE, Condition.STABLE_COMPLETE) if shifts else _CANDIDATES_SERVE,
        _step_deadline(draft),
        gates=_gates(draft, split, last=index == len(splits) - 1),
        share=split.percent,
        wanted_share=percents[index],
        candidates=split.candidates,
        stables=split.stables,
        watches=(Side.CANDIDATE,),
    )


def _step_deadline(draft: Draft) -> int:
    """All pods of a step start at once: one wave."""
    return max(MINIMUM_DEADLINE_MS, draft.release.rules.ready_within_ms, 2 * draft.release.usual_ms)


def _gates(draft: Draft, split: Split, *, last: bool) -> tuple[Gate, ...]:
    change, rules = draft.release.change, draft.release.rules
    hold = (
        change.hold_ms
        if isinstance(change, Deploy) and change.hold_ms is not None
        else rules.canary.hold_ms
    )
    gates: list[Gate] = (
        [HoldGate("hold", hold, judged=True, title=f"hold at {split.percent} %")]
        if hold > 0
        else []
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
                f"promote {draft.release.target.app} to {draft.version}",
            )
        )
    return tuple(gates)


def _promotion(draft: Draft, last: Split, room: int | None, scaler: AutoscalerSeen | None) -> Step:
    """Stable rolls while at least as many candidates serve as it may miss; what was shifted comes
    back in the same patch."""
    stable = draft.stable
    unavailable = fence_posts(stable)[1]
    candidates = surge_for_promotion(stable.replicas, unavailable, last.candidates, room)
    return Step(
        "promote",
        f"promote {stable.name} to {draft.version}",
        (
            DeploymentGoal(Side.CANDIDATE, replicas=candidates),
            DeploymentGoal(
                Side.STABLE,
                template=draft.template,
                paused=False,
                change_cause=draft.cause,
                replicas=(
                    stable.replicas if last.stables < stable.replicas and scaler is None else None
                ),
                when=_CANDIDATES_SERVE,
            ),
        ),
        _STABLE_SERVES,
        draft.deadline_ms,
        share=100,
        wanted_share=100,
        candidates=candidates,
        stables=stable.replicas,
        watches=(Side.STABLE, Side.CANDIDATE),
    )


def _finish(draft: Draft, services: tuple[ServiceSeen, ...]) -> Step:
    """Only when stable is whole: without a deadline, since nothing that is left here is a reason to
    take a good version back."""
    restored = (
        tuple(ServiceGoal(s.name, affinity=s.affinity) for s in services)
        if _is_sticky(draft)
        else ()
    )
    name = f"{draft.stable.name}{SUFFIX}"
    return Step(
        "finish",
        "the canary pods go",
        (
            AbsentGoal("Deployment", name, when=_STABLE_SERVES),
            *restored,
            DeploymentGoal(Side.STABLE, claimed=False, when=(Condition.CANDIDATE_GONE,)),
        ),
        (Condition.CANDIDATE_GONE,),
        candidates=0,
        stables=draft.stable.replicas,
    )


# --- the way back ---------------------------------------------------------------------------------


def rollback_steps(release: Release, seen: Observation) -> tuple[Step, ...]:
    """Candidates out at once, stable and Services as found, then the candidate's Deployment goes.

    Where nothing of stable need stay available while it goes back, or none of it is ready, the
    candidates serve until it is whole: the Services must not be emptied by us.
    """
    found, plan_ = release.as_found, release.plan
    if found is None or plan_ is None or not any(intent.written for intent in release.intents):
        return ()
    steps: list[Step] = []
    goals: list[Goal] = []
    stable = _stable_as_found(release)
    candidate = (
        seen.candidate if seen.candidate is not None and is_ours(release, seen.candidate) else None
    )
    rolls_bare = (
        plan_.floor == 0
        and stable is not None
        and stable.template is not None
        and _has_ready(seen.stable)
    )
    if (
        candidate is None
        and rolls_bare
        and seen.candidate is None
        and (body := _body_again(plan_)) is not None
    ):
        # gone already, and the only pods that serve are about to be replaced: it comes once more
        up = DeploymentGoal(
            Side.CANDIDATE, claimed=True, replicas=found.stable.replicas, create_from=body
        )
        steps.append(
            Step(
                "canary again",
                "canary pods serve meanwhile",
                (up,),
                _CANDIDATES_SERVE,
                MINIMUM_DEADLINE_MS,
            )
        )
        goals += [*([stable] if stable else []), _silent(_STABLE_SERVES)]
    elif (
        candidate is not None
        and seen.stable is not None
        and _has_ready(candidate)
        and (rolls_bare or not _has_ready(seen.stable))
    ):
        goals += [
            *([stable] if stable else []),
            _silent(_STABLE_SERVES if stable else (Condition.STABLE_SERVES,)),
        ]
    else:
        goals += [*([_silent()] if candidate else []), *([stable] if stable else [])]
    for service in found.services:
        intent = find(release.intents, Kind.SERVICE, service.name, Field.AFFINITY)
        if intent is not None and intent.written:
            goals.append(ServiceGoal(service.name, affinity=service.affinity))
    until: list[Condition] = [Condition.STABLE_COMPLETE] if stable else []
    if any(isinstance(goal, DeploymentGoal) and goal.side is Side.CANDIDATE for goal in goals):
        goals.append(AbsentGoal("Deployment", plan_.candidate, when=(Condition.CANDIDATE_SILENT,)))
        until.append(Condition.CANDIDATE_GONE)
    if not goals:
        return (LET_GO,)
    back = Step(
        "back",
        f"back to {plan_.from_version}",
        tuple(goals),
        tuple(until),
        max(MINIMUM_DEADLINE_MS, plan_.deadline_ms),
        candidates=0,
        stables=found.stable.replicas,
    )
    return (*steps, back, LET_GO)


def _silent(when: tuple[Condition, ...] = ()) -> DeploymentGoal:
    return DeploymentGoal(Side.CANDIDATE, replicas=0, when=when)


def _has_ready(deployment: DeploymentSeen | None) -> bool:
    return any(pod.ready and not pod.terminating for pod in pods_of(deployment))


def _body_again(plan_: Plan) -> Any:
    """The body that the plan made the candidate of; None where it was adopted."""
    goals = [goal for goal in plan_.steps[0].goals if isinstance(goal, DeploymentGoal)]
    return next((goal.create_from for goal in goals if goal.create_from is not None), None)


def _stable_as_found(release: Release) -> DeploymentGoal | None:
    """What the release wrote of stable, set back in one patch; None when it wrote nothing but its
    claim."""
    if release.as_found is None:
        return None
    stable = release.as_found.stable

    def written(field: Field) -> bool:
        intent = find(release.intents, Kind.DEPLOYMENT, stable.name, field)
        return intent is not None and intent.written

    if not any(
        written(field)
        for field in (Field.TEMPLATE, Field.PAUSED, Field.CHANGE_CAUSE, Field.REPLICAS)
    ):
        return None
    return DeploymentGoal(
        Side.STABLE,
        template=stable.template if written(Field.TEMPLATE) else None,
        paused=stable.paused if written(Field.PAUSED) or written(Field.TEMPLATE) else None,
        change_cause=found_cause(stable) if written(Field.CHANGE_CAUSE) else None,
        replicas=stable.replicas if written(Field.REPLICAS) else None,
    )
