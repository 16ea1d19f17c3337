"""The candidate of blue/green: an existing Deployment that is adopted, the idle one of a kept pair,
or a new one made from stable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.releases.assess.selectors import labels_of, matches, selector_text
from bot.releases.facts.observation import DeploymentSeen, ServiceSeen
from bot.releases.facts.target import Strategy, default_candidate_name
from bot.releases.planning.candidate import (
    candidate_body,
    existing_candidate,
    refuse_another_version,
    removal_command,
    runs_the_new_image,
    selector_with_mark,
    stale_claim_note,
    with_labels,
)
from bot.releases.planning.draft import Draft
from bot.releases.planning.draining import for_pods_that_leave, removal_notes
from bot.releases.planning.refusals import PlanRefused
from bot.releases.strategies.bluegreen.selector_keys import choose_key

COLOR_LABEL = "pilothouse.dev/color"
"""In the selector and the pods of a candidate that a release made: its selector never matches a pod
of stable, whatever the other labels."""


@dataclass(frozen=True)
class Candidate:
    """Created by the release from ``body``, or existing: ``template`` None leaves an existing one
    its own."""

    name: str
    labels: dict[str, str]  # of its pods
    body: Any = None
    template: Any = None
    replicas: int = 0
    notes: tuple[str, ...] = ()
    existing: DeploymentSeen | None = None


def candidate_for(draft: Draft, services: tuple[ServiceSeen, ...], *, keeps: bool) -> Candidate:
    """``keeps``: both Deployments stay, so an idle one may take the new version. Raises
    PlanRefused."""
    name = default_candidate_name(draft.release.target, Strategy.BLUEGREEN)
    existing = existing_candidate(draft, name)
    if existing is None:
        return _created(draft, services, name, keeps=keeps)
    if runs_the_new_image(draft, existing):
        return Candidate(
            name,
            labels_of(existing.template),
            replicas=max(draft.stable.replicas, existing.replicas),
            notes=(
                *stale_claim_note(existing),
                f"{name} already runs {draft.version} and is adopted as it is",
            ),
            existing=existing,
        )
    if not keeps:
        refuse_another_version(draft, existing)
    return _updated(draft, services, existing)


def _updated(
    draft: Draft, services: tuple[ServiceSeen, ...], existing: DeploymentSeen
) -> Candidate:
    """The idle Deployment of a kept pair takes the new version."""
    labels = _labels_for(draft, services, existing)
    if not matches(existing.selector, labels):
        own = selector_text(existing.selector.get("matchLabels") or {})
        raise PlanRefused(
            f"{existing.name} cannot take {draft.version}: its own selector ({own}) cannot change."
            f" Remove it with {removal_command(draft, existing.name)}, and the release creates a"
            " new one."
        )
    return Candidate(
        existing.name,
        labels,
        template=with_labels(draft.template, labels),
        # nobody uses it, so it needs as many pods as serve now, even if it was left larger
        replicas=draft.stable.replicas,
        notes=(
            *stale_claim_note(existing),
            f"{existing.name} exists already and takes {draft.version}",
        ),
        existing=existing,
    )


def _labels_for(
    draft: Draft, services: tuple[ServiceSeen, ...], existing: DeploymentSeen
) -> dict[str, str]:
    """The new template's labels, except that the labels which tell the pair apart stay its own."""
    version_label = draft.release.target.version_label
    own = labels_of(existing.template)
    labels = labels_of(draft.template)
    labels.pop(COLOR_LABEL, None)
    in_services = {key for service in services for key in service.selector}
    in_own_selector = set(existing.selector.get("matchLabels") or {})
    kept = {key for key in in_services | in_own_selector if key != version_label and key in own}
    return {**labels, **{key: own[key] for key in sorted(kept)}}


def _created(
    draft: Draft, services: tuple[ServiceSeen, ...], name: str, *, keeps: bool
) -> Candidate:
    stable, survey = draft.stable, draft.seen.survey
    version_label = draft.release.target.version_label
    if any(
        item.kind == "Deployment" and item.name == name
        for item in (survey.selecting if survey else ())
    ):
        raise PlanRefused(
            f"A Deployment {name} exists already and is not a candidate of this app. Rename one of"
            " the two."
        )
    other = choose_key(
        [service.selector for service in services],
        labels_of(stable.template),
        draft.template,
        survey,
        version_label=version_label,
    )
    labels = {**labels_of(draft.template), other.key: other.value, COLOR_LABEL: "green"}
    # a Service that selects by the version selects both sides until green is removed
    shares = other.key == version_label and not keeps
    body = candidate_body(
        draft,
        name,
        labels=labels,
        selector=selector_with_mark(stable, labels, COLOR_LABEL, without=version_label),
        template=with_labels(for_pods_that_leave(draft) if shares else draft.template, labels),
    )
    notes = removal_notes(draft, name) if shares else ()
    return Candidate(name, labels, body, replicas=stable.replicas, notes=notes)
