"""Blue/green: a second Deployment at full size that nobody reaches, one patch of the Service's
selector, and one patch back.

Green's pods carry another value for one key of the Service's selector, so the Service is untouched
until the switch and every stray revert lands on blue. Blue stays whole for the rollback window.
Then the Deployment itself is rolled to the new version behind green, the Service gets its selector
back, and green goes (``settle: roll``); or both Deployments stay and the next release uses the
other one (``settle: keep``).

At every moment of the way there and back the Services select pods that are ready: a selector is
only written when what it selects has been seen ready, and what still serves is never taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.releases.assess.intents import find
from bot.releases.assess.rollout import pods_of, ready_endpoints
from bot.releases.assess.selectors import matches, selects
from bot.releases.facts.intent import Field, Kind
from bot.releases.facts.observation import Observation, ServiceSeen
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
from bot.releases.planning.as_found import found_cause
from bot.releases.planning.capacity import MINIMUM_DEADLINE_MS, floor_of
from bot.releases.planning.draft import Draft
from bot.releases.planning.refusals import PlanRefused, managed_elsewhere
from bot.releases.strategies.bluegreen.candidate import (
    Green,
    body_as_found,
    green_for,
    labels_of,
    preview_for,
    probe_for,
    refuse_blue_green,
    refuse_capture,
    refuse_quota,
    selector_at_the_end,
    selector_on,
)

LEAST_WINDOW_MS = 30_000
"""Old connections drain at least that long before what served them goes."""


# --- the way there --------------------------------------------------------------------------------


def plan(draft: Draft) -> Plan:
    release, stable, survey = draft.release, draft.stable, draft.seen.survey
    rules, approvals = release.rules.bluegreen, release.rules.approvals
    services = refuse_blue_green(draft)
    swapped = bool(release.target.idle)
    keeps = swapped or rules.settle == "keep"
    green = green_for(draft, services, keeps=keeps)
    targets = tuple(
        selector_on(service.selector, green.labels, service, green.name) for service in services
    )
    finals = tuple(selector_at_the_end(service, draft) for service in services) if not keeps else ()
    if not keeps and not matches(stable.selector, labels_of(draft.template)):
        raise PlanRefused(
            f"{stable.name} cannot be rolled to {draft.version} afterwards: the label"
            f" {release.target.version_label} is in its own selector, which is fixed. Set `settle:"
            f" keep` for {release.target.app}: both Deployments stay, the next release uses the"
            " other one"
        )
    refuse_capture(draft, green)
    preview, preview_body = (
        preview_for(draft, services[0], targets[0]) if rules.preview else ("", None)
    )
    refuse_quota(draft, green, preview, keeps=keeps)
    scalers = survey.autoscalers if survey else ()
    scaler = next((item for item in scalers if item.target == stable.name), None)
    foreign = next((item for item in scalers if item.target == green.name), None)
    if foreign is not None:
        raise PlanRefused(
            f"HorizontalPodAutoscaler {foreign.name} moves the replicas of {green.name}, which is"
            " to be green: remove it first"
        )

    size = DeploymentGoal(
        Side.CANDIDATE,
        claimed=True,
        paused=False,
        template=green.template,
        replicas=green.replicas,
        change_cause=draft.cause if green.template is not None else None,
        at_least_stable=True,
        create_from=green.body,
    )
    goals: list[Goal] = [DeploymentGoal(Side.STABLE, claimed=True), size]
    if preview:
        goals.append(ServiceGoal(preview, targets[0], create_from=preview_body))
    gates: tuple[Gate, ...] = ()
    names = " and ".join(service.name for service in services)
    if rules.promote == "approval" and approvals.promote > 0:
        gates = (
            ApprovalGate(
                "switch",
                approvals.promote,
                approvals.requester_may_approve,
                approvals.expires_ms,
                approvals.on_expiry,
                f"switch {names} to {draft.version}",
            ),
        )
    counts: dict[str, Any] = {"candidates": green.replicas, "stables": stable.replicas}
    probe = probe_for(draft, services[0])
    answers = (Condition.CANDIDATE_ANSWERS,) if probe else ()
    up = Step(
        "green",
        f"{'bring up' if green.body else 'take'} {green.name}"
        f" with {green.replicas} pods of {draft.version}",
        tuple(goals),
        (Condition.CANDIDATE_MATCHES_STABLE, Condition.CANDIDATE_SELECTED, *answers),
        draft.deadline_ms,
        gates,
        share=0,
        watches=(Side.CANDIDATE,),
        **counts,
    )
    switch = Step(
        "switch",
        f"switch {names} to {green.name}",
        (
            replace(size, create_from=None),
            *(
                # once the first Service is switched the others follow, whatever the probe says
                # then: half a switch helps nobody
                ServiceGoal(
                    service.name,
                    target,
                    when=(
                        Condition.CANDIDATE_SELECTED,
                        *(answers if service is services[0] else ()),
                    ),
                )
                for service, target in zip(services, targets, strict=True)
            ),
        ),
        (Condition.SERVED_BY_CANDIDATE,),
        MINIMUM_DEADLINE_MS,
        (
            HoldGate(
                "window",
                max(LEAST_WINDOW_MS, rules.rollback_window_ms),
                title="rollback window",
                is_rollback_window=True,
            ),
        ),
        share=100,
        watches=(Side.CANDIDATE,),
        **counts,
    )
    steps = (
        up,
        switch,
        *(
            _kept(green, preview)
            if keeps
            else _settled(draft, green, services, targets, finals, preview)
        ),
    )
    return draft.plan(
        steps=steps,
        candidate=green.name,
        floor=floor_of(stable),
        deadline_ms=draft.deadline_ms,
        notes=_notes(
            draft,
            green,
            services,
            targets,
            scaler.name if scaler else "",
            keeps=keeps,
            swapped=swapped,
        ),
        stable_selector=stable.selector,
        candidate_selector={key: value for target in targets for key, value in target.items()},
        final_selectors=finals,
        keeps_both=keeps,
        preview=preview,
        probe=probe,
        has_autoscaler=scaler is not None,
        autoscaler=(scaler.min_replicas, scaler.max_replicas) if scaler else None,
    )


def _settled(
    draft: Draft,
    green: Green,
    services: tuple[ServiceSeen, ...],
    targets: tuple[dict[str, str], ...],
    finals: tuple[dict[str, str], ...],
    preview: str,
) -> tuple[Step, ...]:
    """The Deployment itself on the new version, its Services as they were, green gone."""
    stable = draft.stable
    counts: dict[str, Any] = {"candidates": green.replicas, "stables": stable.replicas}
    roll = DeploymentGoal(
        Side.STABLE,
        paused=False,
        template=draft.template,
        change_cause=draft.cause,
        when=(Condition.CANDIDATE_SERVES,),
    )
    settle = Step(
        "settle",
        f"settle: roll {stable.name} to {draft.version} while {green.name} serves",
        (roll,),
        (Condition.STABLE_COMPLETE,),
        draft.deadline_ms,
        share=100,
        watches=(Side.STABLE,),
        **counts,
    )
    # with the version label in a Service's own selector the new pods of both are selected: then
    # green's pods finish their connections within their own termination grace period, as in any
    # roll
    apart = all(final != target for final, target in zip(finals, targets, strict=True))
    served = Condition.SERVED_BY_STABLE if apart else Condition.STABLE_SERVES
    back = Step(
        "hand back",
        f"give {' and '.join(service.name for service in services)} back to {stable.name}",
        tuple(
            ServiceGoal(
                service.name, final, when=(Condition.STABLE_COMPLETE, Condition.STABLE_RESELECTED)
            )
            for service, final in zip(services, finals, strict=True)
        ),
        (served, Condition.STABLE_SERVES),
        MINIMUM_DEADLINE_MS,
        (HoldGate("drain", LEAST_WINDOW_MS, title="old connections drain"),) if apart else (),
        share=0,
        **counts,
    )
    away: tuple[Goal, ...] = (
        AbsentGoal("Deployment", green.name, when=(served, Condition.STABLE_SERVES)),
    )
    if preview:
        away = (AbsentGoal("Service", preview), *away)
    remove = Step(
        "remove",
        f"remove {green.name}",
        away,
        (Condition.CANDIDATE_GONE,),
        MINIMUM_DEADLINE_MS,
        share=0,
    )
    return settle, back, remove, LET_GO


def _kept(green: Green, preview: str) -> tuple[Step, ...]:
    goals: tuple[Goal, ...] = (AbsentGoal("Service", preview),) if preview else ()
    goals = (
        *goals,
        DeploymentGoal(Side.CANDIDATE, claimed=False),
        DeploymentGoal(Side.STABLE, claimed=False),
    )
    return (Step("finish", f"let go of both Deployments; {green.name} serves", goals, ()),)


def _notes(
    draft: Draft,
    green: Green,
    services: tuple[ServiceSeen, ...],
    targets: tuple[dict[str, str], ...],
    autoscaler: str,
    *,
    keeps: bool,
    swapped: bool,
) -> tuple[str, ...]:
    stable = draft.stable.name
    notes = [green.note] if green.note else []
    asked = draft.release.rules.probe
    if asked is not None and asked.url is not None:
        notes.append(
            f"the probe's URL reaches who serves, so {green.name} is not asked before the switch"
        )
    for service, target in zip(services, targets, strict=True):
        changed = ", ".join(
            f"{key}: {value} → {target[key]}"
            for key, value in service.selector.items()
            if target[key] != value
        )
        notes.append(f"Service {service.name} is switched by {changed}")
        if service.cluster_ip == "None":
            notes.append(
                f"Service {service.name} is headless: clients move when they look its name up again"
            )
        who = managed_elsewhere(service, ("spec.selector",))
        if who:
            notes.append(
                f"Service {service.name} is managed elsewhere: {who} may take the switch back"
            )
    names = {service.name for service in services}
    survey = draft.seen.survey
    notes += [
        f"Service {item.name} reaches green before the switch: add it to `services:` to have it"
        " switched too"
        for item in (survey.selecting if survey else ())
        if item.kind == "Service"
        and item.name not in names
        and matches(item.selector, green.labels)
    ]
    if swapped:
        notes.append(
            f"{stable} serves since an earlier release kept both; now {green.name} takes over and"
            " both stay"
        )
    elif keeps:
        notes.append(
            f"both Deployments stay: afterwards {green.name} serves, and the next release uses"
            f" {stable}"
        )
    elif green.body is None:
        notes.append(f"{green.name} goes at the end; `settle: keep` would leave it")
    if autoscaler:
        follows = (
            f"not {green.name}, which keeps its size" if keeps else "which serves nobody meanwhile"
        )
        notes.append(
            f"HorizontalPodAutoscaler {autoscaler} goes on following {stable}, {follows}: it may"
            f" shrink it, and whoever goes back to {stable} meets as many pods as are left until it"
            " grows again"
        )
    return tuple(notes)


# --- the way back ---------------------------------------------------------------------------------


def rollback_steps(release: Release, seen: Observation) -> tuple[Step, ...]:
    """Everything to as found, from wherever the release is. The Services go to whoever is whole
    before anything is taken away.

    Stable untouched: its selector at once. Stable rolled or rolling: its template first, behind
    green; where green is gone already and the Services select by the new version, they first select
    both versions of stable.
    """
    found, made = release.as_found, release.plan
    if found is None or made is None or not any(intent.written for intent in release.intents):
        return ()
    stable, deadline = found.stable, made.deadline_ms
    if seen.stable is None and ready_endpoints(seen, seen.candidate, release.target.services):
        return _green_stays(made, "nobody else serves")

    def written(name: str, field: Field, kind: Kind = Kind.DEPLOYMENT) -> bool:
        intent = find(release.intents, kind, name, field)
        return intent is not None and intent.written

    # a selector that a person chose to keep is no longer among the intents: it stays as they set it
    services = [
        s
        for s in found.services
        if find(release.intents, Kind.SERVICE, s.name, Field.SELECTOR) is not None
    ]
    kept_by_others = {s.name for s in found.services} - {s.name for s in services}
    original = tuple(
        ServiceGoal(s.name, s.selector, when=(Condition.STABLE_TAKES_OVER,)) for s in services
    )
    steps: list[Step] = []
    if original and _is_abandoned(release, seen):
        # nobody is behind a Service: whatever stable has is better, before anything else
        steps.append(
            Step("selector back", f"{stable.name} serves again", original, (), MINIMUM_DEADLINE_MS)
        )
    if written(stable.name, Field.TEMPLATE):
        steps += _shelter(release, seen)
        template = DeploymentGoal(
            Side.STABLE,
            template=stable.template,
            paused=stable.paused,
            change_cause=found_cause(stable) if written(stable.name, Field.CHANGE_CAUSE) else None,
        )
        title = f"{stable.name} back to {made.from_version}"
        steps.append(
            Step(
                "back",
                title,
                (template, *original),
                (Condition.STABLE_COMPLETE,),
                deadline,
                stables=stable.replicas,
            )
        )
    elif written(stable.name, Field.PAUSED):
        steps.append(
            Step(
                "back",
                f"{stable.name} goes on",
                (DeploymentGoal(Side.STABLE, paused=stable.paused),),
                (),
            )
        )
    used = any(
        service.name in kept_by_others
        and selects(service.selector, labels_of(seen.candidate.template))
        for service in seen.services
        if seen.candidate is not None
    )
    if original:
        names = " and ".join(s.name for s in services)
        left = () if used else (Condition.CANDIDATE_UNUSED,)
        steps.append(
            Step(
                "selector back",
                f"{names} back to {stable.name}",
                original,
                left,
                MINIMUM_DEADLINE_MS,
            )
        )
    steps += _green_away(
        release,
        gone=seen.candidate is None,
        written=lambda field: written(made.candidate, field),
        still_used=used,
    )
    return (*steps, LET_GO)


def _is_abandoned(release: Release, seen: Observation) -> bool:
    """Some Service has no ready endpoint, and stable has a ready pod for the original selector of
    each."""
    found = release.as_found
    ready = [pod for pod in pods_of(seen.stable) if pod.ready and not pod.terminating]
    served = {
        endpoint.service
        for role in (seen.stable, seen.candidate)
        for endpoint in ready_endpoints(seen, role)
    }
    return (
        found is not None
        and any(
            service.name not in served
            for service in seen.services
            if service.name in release.target.services
        )
        and all(
            any(selects(service.selector, pod.labels) for pod in ready)
            for service in found.services
        )
    )


def _shelter(release: Release, seen: Observation) -> tuple[Step, ...]:
    """Where the Services point while stable's template goes back: nobody may be left without a
    ready pod meanwhile."""
    found, made = release.as_found, release.plan
    if found is None or made is None or made.candidate_selector is None:
        return ()
    green, target = seen.candidate, made.candidate_selector
    ready = [
        pod
        for pod in pods_of(green)
        if pod.ready and not pod.terminating and selects(target, pod.labels)
    ]
    whole = (
        green is not None and not green.terminating and len(ready) >= max(1, found.stable.replicas)
    )
    steps: list[Step] = []
    if made.floor == 0 and (green is None or green.terminating):
        # a roll back in place would leave nobody, and green is gone already: it comes once more
        up = DeploymentGoal(
            Side.CANDIDATE,
            claimed=True,
            replicas=found.stable.replicas,
            create_from=_body_of_green(release),
        )
        upright = (Condition.CANDIDATE_MATCHES_STABLE, Condition.CANDIDATE_SELECTED)
        if green is not None:
            gone = (AbsentGoal("Deployment", made.candidate),)
            steps.append(
                Step(
                    "make room",
                    f"{made.candidate} goes first",
                    gone,
                    (Condition.CANDIDATE_GONE,),
                    MINIMUM_DEADLINE_MS,
                )
            )
        steps.append(
            Step("green", f"bring up {made.candidate} once more", (up,), upright, made.deadline_ms)
        )
        whole = True
    now = {service.name: service.selector for service in seen.services}
    ends = dict(zip(release.target.services, made.final_selectors, strict=False))
    ours = [
        s
        for s in found.services
        if s.name in now and find(release.intents, Kind.SERVICE, s.name, Field.SELECTOR)
    ]
    # a Service that ends on the version's own label would lose its pods when they go back
    exposed = [s for s in ours if now[s.name] == ends.get(s.name) != s.selector]
    goals: list[Goal] = []
    if whole and (
        made.floor == 0 or any(not now[s.name].items() <= target.items() for s in exposed)
    ):
        for service in ours:
            candidate = {key: target[key] for key in service.selector}
            goals.append(ServiceGoal(service.name, candidate, when=(Condition.CANDIDATE_SELECTED,)))
    elif not whole:
        for service in exposed:
            both = {
                key: value
                for key, value in service.selector.items()
                if now[service.name].get(key) == value
            }
            goals += [ServiceGoal(service.name, both)] if both else []
    if goals:
        until = (Condition.CANDIDATE_SERVES,) if whole else ()
        names = " and ".join(goal.name for goal in goals if isinstance(goal, ServiceGoal))
        where = made.candidate if whole else f"both versions of {found.stable.name}"
        steps.append(
            Step(
                "shelter", f"{names} to {where} meanwhile", tuple(goals), until, MINIMUM_DEADLINE_MS
            )
        )
    return tuple(steps)


def _body_of_green(release: Release) -> Any:
    """Inert, to be created again: as the plan made it, or as it was found."""
    found, made = release.as_found, release.plan
    if found is None or made is None:
        return None
    if found.candidate is not None:
        return body_as_found(found.candidate, release)
    goals = [goal for goal in made.steps[0].goals if isinstance(goal, DeploymentGoal)]
    return next((goal.create_from for goal in goals if goal.create_from is not None), None)


def _green_stays(made: Plan, why: str) -> tuple[Step, ...]:
    goals: tuple[Goal, ...] = (AbsentGoal("Service", made.preview),) if made.preview else ()
    goals = (*goals, DeploymentGoal(Side.CANDIDATE, claimed=False))
    return (Step("green stays", f"{made.candidate} stays: {why}", goals, (), keeps_candidate=True),)


def _green_away(
    release: Release, *, gone: bool, written: Callable[[Field], bool], still_used: bool
) -> tuple[Step, ...]:
    """Green as it was before the release: not there, or as it was found."""
    found, made = release.as_found, release.plan
    if found is None or made is None:
        return ()
    goals: tuple[Goal, ...] = (AbsentGoal("Service", made.preview),) if made.preview else ()
    if still_used:
        return _green_stays(made, "a Service that was changed by hand uses it")
    unused = (Condition.CANDIDATE_UNUSED,)
    if found.candidate is None:
        goals = (*goals, AbsentGoal("Deployment", made.candidate, when=unused))
        title = f"remove {made.candidate}"
        return (Step("remove", title, goals, (Condition.CANDIDATE_GONE,), MINIMUM_DEADLINE_MS),)
    before = found.candidate
    as_it_was = DeploymentGoal(
        Side.CANDIDATE,
        claimed=False,
        template=before.template if written(Field.TEMPLATE) else None,
        replicas=before.replicas if gone or written(Field.REPLICAS) else None,
        paused=before.paused if written(Field.PAUSED) else None,
        change_cause=found_cause(before) if written(Field.CHANGE_CAUSE) else None,
        create_from=body_as_found(before, release),
        when=unused,
    )
    # two goals: what is created inert keeps the claim until it is live again
    live = replace(as_it_was, claimed=None)
    released = DeploymentGoal(Side.CANDIDATE, claimed=False)
    return (
        Step(
            "green back",
            f"{made.candidate} as it was",
            (*goals, live, released),
            (),
            MINIMUM_DEADLINE_MS,
        ),
    )
