"""Why a plan is refused whatever its strategy."""

from __future__ import annotations

from bot.releases.facts.changes import Deploy, Reapply, Scale, Undo
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import (
    CLAIM_ANNOTATION,
    DeploymentSeen,
    Observation,
    ServiceSeen,
)
from bot.releases.facts.release import Release


class PlanRefused(Exception):
    """The release cannot start; the message is one line that says why and what to do. ``instead``:
    a command that works."""

    def __init__(self, line: str, *, instead: str = "") -> None:
        super().__init__(line)
        self.instead = instead


def managed_elsewhere(item: DeploymentSeen | ServiceSeen, paths: tuple[str, ...]) -> str:
    """Who else manages what the release will write: a GitOps or Helm mark, or a manager that
    applied or last wrote those fields, or a controller that owns the object. "" for nobody."""
    if isinstance(item, DeploymentSeen) and item.owner:
        return f"{item.owner} (its ownerReferences)"
    marks = {**item.labels, **item.annotations}
    for key, tool in (
        ("argocd.argoproj.io/tracking-id", "Argo CD"),
        ("argocd.argoproj.io/instance", "Argo CD"),
        ("kustomize.toolkit.fluxcd.io/name", "Flux"),
        ("helm.toolkit.fluxcd.io/name", "Flux"),
        ("meta.helm.sh/release-name", "Helm"),
    ):
        if key in marks:
            return f"{tool} ({key}: {marks[key]})"
    for manager, operation, _subresource, owned in item.managers:
        ours = manager in ("pilothouse", "pilothouse-apply")
        if operation == "Apply" and not ours and any(owned.startswith(path) for path in paths):
            return f"{manager} (applies {owned})"
        if manager in _DELIVERY_MANAGERS and _writes(owned, paths):
            return f"{manager} (wrote {owned})"
    return ""


_DELIVERY_MANAGERS = frozenset(
    {
        "argocd-controller",
        "argocd-application-controller",
        "flux",
        "kustomize-controller",
        "helm-controller",
        "helm",
    }
)
"""Tools that write back what they know, by client-side apply or an update too."""


def _writes(owned: str, paths: tuple[str, ...]) -> bool:
    """The image, or a field that is named itself. An update owns what it wrote last."""
    if any(owned.startswith(path) and owned.endswith(".image") for path in paths):
        return True
    return owned in paths


_TRACKING = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "helm.sh/",
)


def is_tracking_label(label: str) -> bool:
    """A label by which a delivery tool knows its own objects: it would remove an object of ours
    that carries it."""
    return label.startswith(_TRACKING)


def common_refusals(release: Release, seen: Observation) -> DeploymentSeen:
    """What no release starts on, whatever its strategy. Returns the Deployment."""
    target, stable = release.target, _claimable(release, seen)
    names = {service.name for service in seen.services}
    missing = [name for name in target.services if name not in names]
    if missing and isinstance(release.change, Deploy):
        raise PlanRefused(
            f"There is no Service `{missing[0]}` in namespace {target.namespace}. Fix `service:` of"
            f" {target.app} in the catalog."
        )
    if isinstance(release.change, Reapply) and release.change.template is None:
        return stable  # no pod changes: what is broken may be mended so
    if stable.paused and not isinstance(release.change, Scale | Undo):
        is_half_rolled = stable.updated < stable.status_replicas
        resume = f"rollout resume {target.typed}"
        undo = f", or undo it (rollout undo {target.typed})" if is_half_rolled else ""
        raise PlanRefused(
            f"{target.deployment} is paused. Resume it first ({resume}){undo}.",
            instead=resume,
        )
    return stable


def _claimable(release: Release, seen: Observation) -> DeploymentSeen:
    target, stable = release.target, seen.stable
    if stable is None or stable.terminating:
        raise PlanRefused(
            f"There is no Deployment `{target.deployment}` in namespace {target.namespace} of"
            f" {target.cluster}. Create it, or fix {target.app} in the catalog."
        )
    if stable.claim in ("", release.stale_claim):
        return stable
    end_it = (
        f"run `kubectl -n {target.namespace} annotate deployment {target.deployment}"
        f" {CLAIM_ANNOTATION}-`."
    )
    if release.id and stable.claim == release.id:
        raise PlanRefused(
            f"{release.id} had already begun to change {target.deployment}, and Redis lost what it"
            f" found there and wrote. It is left as it is now: check it, then {end_it}"
        )
    raise PlanRefused(
        f"{target.deployment} is claimed by release {stable.claim}, which is not running in this"
        f" installation. If it is dead, {end_it}"
    )


def elsewhere_notes(release: Release, stable: DeploymentSeen) -> tuple[str, ...]:
    """A note where another tool manages what the release writes. Raises PlanRefused where the
    catalog says `managed_elsewhere: refuse`."""
    container = "spec.template.spec.containers"
    paths: tuple[str, ...] = (
        ("spec.replicas",)
        if isinstance(release.change, Scale)
        else (container, "spec.template.metadata")
    )
    if isinstance(release.change, Deploy):
        paths = (container,)
    who = managed_elsewhere(stable, paths)
    if not who:
        return ()
    if release.rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"{stable.name} is managed elsewhere: {who} would revert the change. Change it there,"
            f" or set `managed_elsewhere: warn` for {release.target.app}."
        )
    return (f"managed elsewhere: {who} may revert the change",)


def refuse_scale(release: Release, seen: Observation, stable: DeploymentSeen, count: int) -> None:
    app, rules = release.target.app, release.rules
    top = rules.scale_max
    if count < 0:
        raise PlanRefused("The number of replicas cannot be negative.")
    if count < rules.scale_min or (top is not None and count > top):
        raise PlanRefused(
            f"{app} may have {rules.scale_min} to {top if top is not None else 'any number of'}"
            f" replicas, not {count}."
        )
    for autoscaler in seen.survey.autoscalers if seen.survey else ():
        if autoscaler.target == stable.name:
            raise PlanRefused(
                f"HorizontalPodAutoscaler {autoscaler.name} keeps {app} between"
                f" {autoscaler.min_replicas} and {autoscaler.max_replicas} replicas and would undo"
                " it. Change its bounds instead."
            )
    if stable.replicas == count:
        raise PlanRefused(f"{app} already has {counted(count, 'replica')}.")
