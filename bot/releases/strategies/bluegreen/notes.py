"""What people should know before a blue/green release starts."""

from __future__ import annotations

from bot.releases.assess.handover import local_policy
from bot.releases.assess.selectors import matches
from bot.releases.facts.observation import ServiceSeen
from bot.releases.planning.probing import blind_notes
from bot.releases.planning.refusals import managed_elsewhere
from bot.releases.strategies.bluegreen.draft import BlueGreenDraft


def blue_green_notes(parts: BlueGreenDraft) -> tuple[str, ...]:
    promote = parts.draft.release.rules.bluegreen.promote
    notes = [*parts.candidate.notes, *blind_notes(parts.draft, promote, "the switch")]
    probe = parts.draft.release.rules.probe
    if probe is not None and probe.url is not None:
        notes.append(
            f"the probe's URL reaches the side that serves, so {parts.candidate.name} is not probed"
            " before the switch"
        )
    for service, target in zip(parts.services, parts.targets, strict=True):
        notes += [*_service_notes(service, target), *_capacity_notes(service)]
    return (*notes, *_early_notes(parts), *_end_notes(parts), *_autoscaler_notes(parts))


def _service_notes(service: ServiceSeen, target: dict[str, str]) -> tuple[str, ...]:
    name = f"Service {service.name}"
    changed = ", ".join(
        f"{key}: {value} → {target[key]}"
        for key, value in service.selector.items()
        if target[key] != value
    )
    notes = [f"{name} is switched by {changed}"]
    if service.cluster_ip == "None":
        notes.append(f"{name} is headless: clients move when they resolve its name again")
    who = managed_elsewhere(service, ("spec.selector",))
    if who:
        notes.append(f"{name} is managed elsewhere: {who} may revert the switch")
    return tuple(notes)


def _early_notes(parts: BlueGreenDraft) -> tuple[str, ...]:
    """Other Services that select the candidate's pods before the switch."""
    survey = parts.draft.seen.survey
    names = {service.name for service in parts.services}
    return tuple(
        f"Service {item.name} reaches green before the switch: add it to `services:` to have it"
        " switched too"
        for item in (survey.selecting if survey else ())
        if item.kind == "Service"
        and item.name not in names
        and matches(item.selector, parts.candidate.labels)
    )


def _end_notes(parts: BlueGreenDraft) -> tuple[str, ...]:
    stable, candidate = parts.draft.stable.name, parts.candidate
    if parts.is_swapped:
        return (
            (
                f"{stable} serves since an earlier release kept both; now {candidate.name} takes"
                " over and both stay"
            ),
        )
    if parts.keeps:
        return (
            (
                f"both Deployments stay: afterwards {candidate.name} serves, and the next release"
                f" uses {stable}"
            ),
        )
    if candidate.body is None:
        return (f"{candidate.name} is removed at the end; `settle: keep` would keep it",)
    return ()


def _capacity_notes(service: ServiceSeen) -> tuple[str, ...]:
    """What a hand-over waits for, beside as many ready pods as serve."""
    notes = []
    if policy := local_policy(service):
        notes.append(
            f"Service {service.name} has {policy}: it changes hands only when each node that serves"
            " has a ready pod of the side that takes over"
        )
    if service.publishes_not_ready:
        notes.append(
            f"Service {service.name} publishes pods that are not ready (publishNotReadyAddresses):"
            " it changes hands only when all pods of the side that takes over are ready"
        )
    return tuple(notes)


def _autoscaler_notes(parts: BlueGreenDraft) -> tuple[str, ...]:
    if parts.scaler is None:
        return ()
    stable, candidate = parts.draft.stable.name, parts.candidate.name
    idle = (
        f"not {candidate}, which keeps its size"
        if parts.keeps
        else "which gets no traffic meanwhile"
    )
    return (
        (
            f"HorizontalPodAutoscaler {parts.scaler.name} keeps scaling {stable}, {idle}: it may"
            f" shrink {stable}, which is raised to what {candidate} serves with before it takes"
            f" over again{_minimum_note(parts)}"
        ),
    )


def _minimum_note(parts: BlueGreenDraft) -> str:
    if parts.draft.release.rules.autoscaler_min_replicas == "leave":
        return ""
    return ", its minReplicas with it, which is restored at the end"
