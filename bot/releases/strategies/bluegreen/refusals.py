"""What blue/green is not started on. Each refusal is one line that says why and what to do."""

from __future__ import annotations

from bot.releases.assess.rollout import pods_of
from bot.releases.assess.selectors import labels_of, matches, selector_text, selects
from bot.releases.facts.observation import ServiceSeen
from bot.releases.planning.candidate import refuse_second_copy
from bot.releases.planning.capacity import fence_posts
from bot.releases.planning.draft import Draft
from bot.releases.planning.quotas import shortages
from bot.releases.planning.refusals import PlanRefused, managed_elsewhere
from bot.releases.strategies.bluegreen.candidate import Candidate
from bot.releases.strategies.bluegreen.selector_keys import HASH_LABEL


def switchable_services(draft: Draft) -> tuple[ServiceSeen, ...]:
    """The app's Services in the catalog's order, which is the order of the switch.

    Raises PlanRefused where one of them, or the app itself, cannot be released by blue/green.
    """
    app = draft.release.target.app
    found = {service.name: service for service in draft.seen.services}
    services = tuple(found[name] for name in draft.release.target.services if name in found)
    if not services:
        raise PlanRefused(
            f"{app} has no Service to switch. Name it as `service:` in the catalog, or deploy it"
            " rolling."
        )
    for service in services:
        _refuse_service(draft, service)
    refuse_second_copy(draft, "blue and green")
    return services


def _refuse_service(draft: Draft, service: ServiceSeen) -> None:
    app, stable = draft.release.target.app, draft.stable
    if not service.selector:
        raise PlanRefused(
            f"Service {service.name} has no selector, so there is nothing to switch. Deploy {app}"
            " rolling."
        )
    if HASH_LABEL not in service.selector and not selects(
        service.selector, labels_of(stable.template)
    ):
        raise PlanRefused(
            f"Service {service.name} does not select {stable.name}'s pods (its selector:"
            f" {selector_text(service.selector)}). Fix `service:` of {app} in the catalog."
        )
    others = _other_deployments(service, draft) or _other_endpoints(service, draft)
    if others:
        raise PlanRefused(
            f"Service {service.name} also selects {', '.join(others)}. Narrow its selector to"
            f" {app} alone first."
        )
    who = managed_elsewhere(service, ("spec.selector",))
    if who and draft.release.rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"Service {service.name} is managed elsewhere: {who} would revert the switch. Change it"
            f" there, or set `managed_elsewhere: warn` for {app}."
        )


def _other_deployments(service: ServiceSeen, draft: Draft) -> tuple[str, ...]:
    """Other Deployments whose pods the Service selects, by their own selectors."""
    survey = draft.seen.survey
    pair = {item.name for item in (draft.stable, draft.seen.candidate) if item is not None}
    return tuple(
        dict.fromkeys(
            f"pods of Deployment {item.name}"
            for item in (survey.selecting if survey else ())
            if item.kind == "Deployment"
            and item.name not in pair
            and selects(service.selector, item.selector.get("matchLabels") or {})
        )
    )


def _other_endpoints(service: ServiceSeen, draft: Draft) -> tuple[str, ...]:
    """Ready endpoints of the Service that are pods of neither side."""
    known = {pod.uid for item in (draft.stable, draft.seen.candidate) for pod in pods_of(item)}
    return tuple(
        dict.fromkeys(
            f"pod {endpoint.pod}"
            for endpoint in draft.seen.endpoints
            if endpoint.service == service.name
            and endpoint.ready
            and not endpoint.terminating
            and endpoint.pod_uid
            and endpoint.pod_uid not in known
        )
    )


def refuse_roll_afterwards(draft: Draft) -> None:
    """With `settle: roll` stable itself takes the new template at the end."""
    stable, target = draft.stable, draft.release.target
    if not matches(stable.selector, labels_of(draft.template)):
        raise PlanRefused(
            f"{stable.name} cannot be rolled to {draft.version} afterwards: the label"
            f" {target.version_label} is in its own selector, which cannot change. Set `settle:"
            f" keep` for {target.app}: both Deployments stay, and the next release uses the other"
            " one."
        )


def refuse_capture(draft: Draft, candidate: Candidate) -> None:
    """Another app's Service or Deployment must not begin to select the candidate's pods."""
    survey = draft.seen.survey
    stable_labels = labels_of(draft.stable.template)
    for item in survey.selecting if survey else ():
        if (
            item.kind in ("Service", "Deployment")
            and matches(item.selector, candidate.labels)
            and not matches(item.selector, stable_labels)
        ):
            raise PlanRefused(
                f"{item.kind} {item.name} would select the pods of {candidate.name}"
                f" ({selector_text(candidate.labels)}). Change its selector first."
            )


def refuse_quota(draft: Draft, candidate: Candidate, preview: str, *, keeps: bool) -> None:
    """Both sides must have room at full size. ``preview``: the name of the preview Service."""
    survey = draft.seen.survey
    present = draft.seen.candidate.replicas if draft.seen.candidate else 0
    surge, unavailable = fence_posts(draft.stable)
    settling = surge if not keeps and unavailable == 0 else 0
    created = {"deployments": 1} if candidate.body is not None else {}
    if preview:
        created["services"] = 1
    short = shortages(
        survey.quotas if survey else (),
        draft.template,
        candidate.replicas - present + settling,
        **created,
    )
    if short:
        size = f"{draft.stable.replicas} + {candidate.replicas} pods" + (
            f", {settling} more to settle" if settling else ""
        )
        raise PlanRefused(
            f"There is no room for blue and green side by side ({size}): {'; '.join(short)}."
            " Raise the quota, or deploy it rolling."
        )


def refuse_foreign_autoscaler(draft: Draft, candidate: Candidate) -> None:
    survey = draft.seen.survey
    for scaler in survey.autoscalers if survey else ():
        if scaler.target == candidate.name:
            raise PlanRefused(
                f"HorizontalPodAutoscaler {scaler.name} scales {candidate.name}, whose replicas the"
                " release sets. Remove it first."
            )
