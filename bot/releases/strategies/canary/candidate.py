"""The canary's Deployment: one begun by hand and adopted, or a new one made from stable."""

from __future__ import annotations

from typing import Any

from bot.releases.assess.selectors import labels_of
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.target import CANDIDATE_SUFFIX, Strategy
from bot.releases.planning.candidate import (
    candidate_body,
    existing_candidate,
    refuse_another_version,
    removal_command,
    selector_with_mark,
    with_labels,
)
from bot.releases.planning.draft import Draft
from bot.releases.planning.draining import for_pods_that_leave
from bot.releases.planning.refusals import PlanRefused, managed_elsewhere

TRACK = "track"
"""`track: canary` in its selector keeps a canary from taking over stable's pods, whatever labels
they share."""


def canary_name(draft: Draft) -> str:
    return draft.stable.name + CANDIDATE_SUFFIX[Strategy.CANARY]


def adopted_canary(draft: Draft) -> DeploymentSeen | None:
    """A canary begun by hand, if it can be adopted; None when there is none. Raises PlanRefused."""
    existing = existing_candidate(draft, canary_name(draft))
    if existing is None:
        return None
    name = existing.name
    refuse_another_version(draft, existing)
    if existing.paused:
        raise PlanRefused(
            f"{name} is paused and cannot be adopted. Resume it with `kubectl -n"
            f" {draft.release.target.namespace} rollout resume deployment/{name}`, or remove it"
            f" with {removal_command(draft, name)}."
        )
    who = managed_elsewhere(existing, ("spec.replicas",))
    if who and draft.release.rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"{name} is managed elsewhere: {who} would undo its scaling. Change it there."
        )
    return existing


def canary_body(draft: Draft) -> dict[str, Any]:
    """Stable's template with the new image, `track: canary`, and a preStop hook where it has none:
    canary pods are removed from a Service that keeps selecting them."""
    stable = draft.stable
    pod_labels = {**labels_of(draft.template), TRACK: "canary"}
    selector = selector_with_mark(stable, pod_labels, TRACK)
    rules = [
        rule for rule in stable.selector.get("matchExpressions") or () if rule.get("key") != TRACK
    ]
    if rules:
        selector["matchExpressions"] = rules
    return candidate_body(
        draft,
        canary_name(draft),
        labels={**stable.labels, TRACK: "canary"},
        selector=selector,
        template=with_labels(for_pods_that_leave(draft), pod_labels),
    )
