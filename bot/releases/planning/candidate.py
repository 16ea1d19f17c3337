"""The candidate Deployment beside stable, by the rules that canary and blue/green share.

Belongs here: whether the app can run twice, whether an existing Deployment may be adopted, and the
body of a candidate that the release creates. Raises PlanRefused.
"""

from __future__ import annotations

from typing import Any

from bot.releases.assess.intents import (
    CAUSE_ANNOTATION,
)
from bot.releases.assess.pairs import beside
from bot.releases.facts.as_found import DeploymentAsFound
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import CLAIM_ANNOTATION, DeploymentSeen
from bot.releases.facts.plan import Confirmation, DeploymentGoal, Plan
from bot.releases.facts.release import Release
from bot.releases.planning.draft import Draft, running_image
from bot.releases.planning.refusals import PlanRefused, is_tracking_label

# --- may there be one? ----------------------------------------------------------------------------


def refuse_second_copy(draft: Draft, both: str) -> None:
    """Refuse an app that cannot run twice. ``both`` names the two sides ("stable and canary")."""
    stable, survey = draft.stable, draft.seen.survey
    if stable.strategy.get("type") == "Recreate":
        raise PlanRefused(
            f"{stable.name} has the strategy Recreate, so its pods must not run twice."
            " Deploy it rolling."
        )
    if stable.replicas < 1:
        raise PlanRefused(f"{stable.name} has 0 replicas. Scale it up first, or deploy it rolling.")
    for claim, modes in survey.claims if survey else ():
        once = [mode for mode in modes if mode in ("ReadWriteOnce", "ReadWriteOncePod")]
        if once:
            raise PlanRefused(
                f"{stable.name} mounts the claim {claim} ({once[0]}), which {both} cannot share."
                " Deploy it rolling."
            )
    ports = _host_ports(stable.template)
    if ports:
        raise PlanRefused(
            f"{stable.name} uses the host port {ports[0]}, which {both} cannot share."
            " Deploy it rolling."
        )


def _host_ports(template: Any) -> list[int]:
    containers = (template.get("spec") or {}).get("containers") or ()
    return [
        port["hostPort"]
        for container in containers
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


# --- an existing one ------------------------------------------------------------------------------


def existing_candidate(draft: Draft, name: str) -> DeploymentSeen | None:
    """The Deployment that already has the candidate's name; None where there is none.

    Refuses one that is being deleted or that another release claims.
    """
    existing = beside(draft.seen, name)
    if existing is None:
        return None
    if existing.terminating:
        raise PlanRefused(f"{name} is being deleted. Try again in a moment.")
    if existing.claim not in ("", draft.release.stale_candidate_claim):
        raise PlanRefused(
            f"{name} is claimed by release {existing.claim}, which this installation does not know"
            " to be over. If no other installation runs it, remove it with"
            f" {removal_command(draft, name)}."
        )
    return existing


def stale_claim_note(existing: DeploymentSeen | None) -> tuple[str, ...]:
    if existing is None or not existing.claim:
        return ()
    return (f"{existing.name} was left by release {existing.claim}, which is over",)


def adoption_to_confirm(existing: DeploymentSeen | None) -> dict[Confirmation, str]:
    """What the release did not make and will remove is asked about first."""
    if existing is None:
        return {}
    what = f"confirm that {existing.name}, which exists already, is adopted and removed at the end"
    return {Confirmation.ADOPTION: what}


def runs_the_new_image(draft: Draft, existing: DeploymentSeen) -> bool:
    return running_image(existing.template, draft.release) == draft.image


def refuse_another_version(draft: Draft, existing: DeploymentSeen) -> None:
    """Only a Deployment of the version that the release brings is adopted."""
    if runs_the_new_image(draft, existing):
        return
    version = version_of(running_image(existing.template, draft.release))
    raise PlanRefused(
        f"{existing.name} runs {version} and belongs to no release. Deploy {version}"
        f" {draft.release.strategy.value} to adopt it, or remove it with"
        f" {removal_command(draft, existing.name)}."
    )


def removal_command(draft: Draft, name: str) -> str:
    return f"`kubectl -n {draft.release.target.namespace} delete deployment {name}`"


# --- a new one ------------------------------------------------------------------------------------


def with_labels(template: Any, labels: dict[str, str]) -> Any:
    return {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}}


def candidate_body(
    draft: Draft, name: str, *, labels: dict[str, str], selector: Any, template: Any
) -> dict[str, Any]:
    """A Deployment like stable with another template, inert until it is made live.

    ``labels`` of the Deployment lose those by which a delivery tool knows its own objects: it would
    remove the candidate.
    """
    return _inert_body(
        draft.release,
        name,
        draft.stable,
        labels={key: value for key, value in labels.items() if not is_tracking_label(key)},
        annotations={CAUSE_ANNOTATION: draft.cause},
        selector=selector,
        template=template,
    )


def selector_with_mark(
    stable: DeploymentSeen, pod_labels: dict[str, str], mark: str, *, without: str | None = None
) -> dict[str, Any]:
    """A selector of the keys that stable's own has and of ``mark``, with the candidate's values.

    The mark is a label that stable's pods lack or carry with another value, so the candidate never
    takes over pods of stable. ``without``: a key that changes with each version.
    """
    keys = {key for key in stable.selector.get("matchLabels") or {} if key != without} | {mark}
    return {"matchLabels": {key: pod_labels[key] for key in sorted(keys) if key in pod_labels}}


def body_as_found(found: DeploymentAsFound, release: Release) -> dict[str, Any]:
    """An adopted candidate that is gone by the time of the rollback, to be created again, inert."""
    return _inert_body(
        release,
        found.name,
        found,
        labels=found.labels,
        annotations=found.annotations,
        selector=found.selector,
        template=found.template,
    )


def body_in_plan(plan: Plan) -> Any:
    """The body from which the plan creates its candidate; None where it adopts one."""
    goals = (goal for goal in plan.steps[0].goals if isinstance(goal, DeploymentGoal))
    return next((goal.create_from for goal in goals if goal.create_from is not None), None)


def _inert_body(
    release: Release,
    name: str,
    like: DeploymentSeen | DeploymentAsFound,
    *,
    labels: dict[str, str],
    annotations: dict[str, str],
    selector: Any,
    template: Any,
) -> dict[str, Any]:
    """Claimed and with 0 replicas: nothing runs before a tested patch makes it live."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": release.target.namespace,
            "labels": labels,
            "annotations": {**annotations, CLAIM_ANNOTATION: release.id},
        },
        "spec": {
            "replicas": 0,
            "selector": selector,
            "template": template,
            "strategy": like.strategy,
            "minReadySeconds": like.min_ready_seconds,
            "progressDeadlineSeconds": like.progress_deadline_seconds,
        },
    }
