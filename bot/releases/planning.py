"""From a change and an observation to a plan, or to the reason why there is none. Pure; the strategies write the steps."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import Any

from bot.releases.health import is_complete, pods_of
from bot.releases.images import ImageMistake, resolve_image, split_image, version_of
from bot.releases.intents import CAUSE_ANNOTATION, CLAIM_ANNOTATION
from bot.releases.model import (
    AsFound,
    Deploy,
    DeploymentAsFound,
    Field,
    Intent,
    Kind,
    Reapply,
    Release,
    Restart,
    Scale,
    ServiceAsFound,
    Undo,
)
from bot.releases.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.plan import ApprovalGate, Gate, Plan

MINIMUM_DEADLINE_MS = 300_000
_OWN_ANNOTATIONS = ("pilothouse.dev/", "deployment.kubernetes.io/revision")
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


class PlanRefused(Exception):
    """The release cannot start; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Draft:
    """What a strategy gets to write its plan from: the change resolved, the cluster as found."""

    release: Release
    seen: Observation
    stable: DeploymentSeen
    template: Any  # what stable shall run at the end
    image: str
    version: str
    from_image: str
    from_version: str
    cause: str  # kubernetes.io/change-cause
    deadline_ms: int  # of one roll of stable
    now: int

    def start_gates(self) -> tuple[Gate, ...]:
        rules = self.release.rules.approvals
        if rules.start < 1:
            return ()
        return (
            ApprovalGate(
                "start",
                rules.start,
                rules.requester_may_approve,
                rules.expires_ms,
                rules.on_expiry,
                "approve the start",
            ),
        )

    def downtime_gate(self) -> ApprovalGate:
        """The app will be down: somebody must say that this is meant, and that may be the person who asked."""
        approvals = self.release.rules.approvals
        title = f"confirm that {self.release.target.app} will be down meanwhile"
        return ApprovalGate("downtime", 1, True, approvals.expires_ms, approvals.on_expiry, title)

    def plan(self, **parts: Any) -> Plan:
        """An undo is never made to wait for a confirmation: it is how people get out of trouble."""
        asks = bool(parts.get("down")) and not isinstance(self.release.change, Undo)
        gates = (*((self.downtime_gate(),) if asks else ()), *self.start_gates())
        return Plan(self.image, self.version, self.from_image, self.from_version, gates, **parts)


def container_index(template: Any, name: str | None, app: str) -> int:
    """Index of the app's container in a pod template. Raises PlanRefused."""
    containers = template.get("spec", {}).get("containers", [])
    names = [c.get("name", "") for c in containers]
    if name is None:
        if len(containers) == 1:
            return 0
        raise PlanRefused(f"{app} has several containers ({', '.join(names)}): name one in the catalog as `container:`")
    if name not in names:
        raise PlanRefused(f"{app} has no container `{name}`; there are {', '.join(names)}")
    return names.index(name)


def running_image(template: Any, release: Release) -> str:
    index = container_index(template, release.target.container, release.target.app)
    return str(template["spec"]["containers"][index].get("image", ""))


def with_image(template: Any, release: Release, image: str) -> Any:
    """The template with the app's container on the image, and the version label following where the catalog names one."""
    result = copy.deepcopy(template)
    result["spec"]["containers"][container_index(template, release.target.container, release.target.app)]["image"] = image
    label = release.target.version_label
    if label:
        result.setdefault("metadata", {}).setdefault("labels", {})[label] = version_of(image)
    return result


def fence_posts(deployment: DeploymentSeen) -> tuple[int, int]:
    """(surge, unavailable) in pods. Source: Kubernetes deployment/util ResolveFenceposts: surge rounds up, unavailable down,
    and both zero means unavailable 1.

    >>> # 5 replicas, 25 % and 25 %: surge ceil(1.25) = 2, unavailable floor(1.25) = 1
    """
    if deployment.strategy.get("type") == "Recreate":
        return 0, deployment.replicas
    rolling = deployment.strategy.get("rollingUpdate") or {}
    surge = _int_or_percent(rolling.get("maxSurge", "25%"), deployment.replicas, up=True)
    unavailable = _int_or_percent(rolling.get("maxUnavailable", "25%"), deployment.replicas, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _int_or_percent(value: Any, total: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * total
        return -(-exact // 100) if up else exact // 100
    return int(value)


def floor_of(deployment: DeploymentSeen) -> int:
    """Available stable pods during a roll: replicas - maxUnavailable."""
    return max(0, deployment.replicas - fence_posts(deployment)[1])


def deadline_of(deployment: DeploymentSeen, release: Release) -> int:
    """The larger of 5 min and twice the app's own p95; without history ceil(replicas / (surge + unavailable)) x ready_within."""
    if release.usual_ms:
        return max(MINIMUM_DEADLINE_MS, 2 * release.usual_ms)
    waves = math.ceil(max(1, deployment.replicas) / max(1, sum(fence_posts(deployment))))
    return max(MINIMUM_DEADLINE_MS, waves * release.rules.ready_within_ms)


def foreign_annotations(annotations: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if not key.startswith(_OWN_ANNOTATIONS)}


def deployment_as_found(seen: DeploymentSeen) -> DeploymentAsFound:
    revision = seen.annotations.get("deployment.kubernetes.io/revision", "0")
    return DeploymentAsFound(
        seen.name, seen.uid, seen.template, seen.replicas, seen.paused, seen.selector, seen.strategy,
        dict(seen.labels), foreign_annotations(seen.annotations), int(revision) if revision.isdigit() else 0,
        seen.min_ready_seconds, seen.progress_deadline_seconds,
    )  # fmt: skip


def service_as_found(seen: ServiceSeen) -> ServiceAsFound:
    return ServiceAsFound(seen.name, seen.uid, dict(seen.selector), seen.affinity)


def managed_elsewhere(item: DeploymentSeen | ServiceSeen, paths: tuple[str, ...]) -> str:
    """Who else manages what the release will write: an Apply manager of those fields, or a GitOps or Helm mark. "" for nobody."""
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
    return ""


_TRACKING = (
    "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/", "helm.sh/",
)  # fmt: skip


def tracking(label: str) -> bool:
    """A label by which a delivery tool knows its objects: on an object of ours it would make the tool remove it."""
    return label.startswith(_TRACKING)


def refuse_second_copy(draft: Draft, both: str) -> None:
    """What cannot run twice side by side; ``both`` names the two ("stable and canary"). Raises PlanRefused."""
    stable, survey = draft.stable, draft.seen.survey
    if stable.strategy.get("type") == "Recreate":
        raise PlanRefused(f"{stable.name} has the strategy Recreate: its pods must not run twice; deploy it rolling")
    if stable.replicas < 1:
        raise PlanRefused(f"{stable.name} has 0 replicas: scale it up first, or deploy it rolling")
    for claim, modes in survey.claims if survey else ():
        once = [mode for mode in modes if mode in ("ReadWriteOnce", "ReadWriteOncePod")]
        if once:
            raise PlanRefused(f"{stable.name} mounts the claim {claim} ({once[0]}), which {both} cannot share: deploy it rolling")
    spec = stable.template.get("spec") or {}
    ports = [p["hostPort"] for c in spec.get("containers") or () for p in c.get("ports") or () if p.get("hostPort")]
    if ports:
        raise PlanRefused(f"{stable.name} uses the host port {ports[0]}, which {both} cannot share: deploy it rolling")


def stays_selected(draft: Draft, labels: dict[str, str], name: str) -> None:
    """Every Service that selects stable's pods now must select pods of these labels too. Raises PlanRefused.

    ``name``: the Deployment whose pods they are. Where the label that changes is in a Service's selector, pods of the new version
    would get no traffic, and a roll would empty the Service.
    """
    now = draft.stable.template.get("metadata", {}).get("labels") or {}
    for service in draft.seen.services:
        if service.name not in draft.release.target.services or not service.selector:
            continue
        missed = {key: value for key, value in service.selector.items() if labels.get(key) != value}
        if missed and all(now.get(key) == value for key, value in service.selector.items()):
            key, value = min(missed.items())
            has = f"{key}={labels[key]}" if key in labels else f"no label {key}"
            raise PlanRefused(
                f"Service {service.name} selects {key}={value}, but the new pods of {name} have {has}: they would get no traffic; "
                "deploy it bluegreen, or take that key out of the Service's selector"
            )


def keeps_own_selector(draft: Draft) -> None:
    """A Deployment's own selector never changes, so a template whose labels leave it is refused by the API server: said before."""
    labels = draft.template.get("metadata", {}).get("labels") or {}
    fixed = draft.stable.selector.get("matchLabels") or {}
    wrong = sorted(key for key, value in fixed.items() if labels.get(key) != value)
    if wrong:
        raise PlanRefused(
            f"{draft.stable.name} cannot be rolled to {draft.version}: the label {wrong[0]} is in its own selector, which is fixed; "
            "deploy it bluegreen with `settle: keep`"
        )


def common_refusals(release: Release, seen: Observation) -> DeploymentSeen:
    """What no release starts on; returns the Deployment. Raises PlanRefused."""
    target, stable = release.target, seen.stable
    if stable is None or stable.terminating:
        raise PlanRefused(f"there is no Deployment `{target.deployment}` in namespace {target.namespace} of {target.cluster}")
    if stable.claim not in ("", release.id, release.stale_claim):
        raise PlanRefused(
            f"{target.deployment} is claimed by release {stable.claim}, which is not one of this installation's running ones; "
            f"if it is dead: kubectl -n {target.namespace} annotate deployment {target.deployment} {CLAIM_ANNOTATION}-"
        )
    names = {service.name for service in seen.services}
    missing = [name for name in target.services if name not in names]
    if missing and isinstance(release.change, Deploy):
        raise PlanRefused(f"there is no Service `{missing[0]}` in namespace {target.namespace}: fix `service:` of {target.app}")
    if stable.paused and not isinstance(release.change, Scale):
        raise PlanRefused(f"{target.deployment} is paused: resume it first (rollout resume {target.app})")
    if isinstance(release.change, Deploy | Reapply | Scale) and not is_complete(stable):
        ready = f"{stable.available} of {stable.replicas} available, {stable.updated} updated"
        state = "half-rolled" if stable.updated < stable.status_replicas else "not healthy"
        raise PlanRefused(f"{target.deployment} is {state} ({ready}): wait for it, or take it back (rollout undo {target.app})")
    return stable


def _elsewhere(release: Release, stable: DeploymentSeen) -> tuple[str, ...]:
    container = "spec.template.spec.containers"
    paths: tuple[str, ...] = ("spec.replicas",) if isinstance(release.change, Scale) else (container, "spec.template.metadata")
    if isinstance(release.change, Deploy):
        paths = (container,)
    who = managed_elsewhere(stable, paths)
    if not who:
        return ()
    if release.rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"{stable.name} is managed elsewhere: {who} would take the change back; change it there, "
            f"or set `managed_elsewhere: warn` for {release.target.app}"
        )
    return (f"managed elsewhere: {who} may take the change back",)


def make_draft(release: Release, seen: Observation, now: int) -> tuple[Draft, tuple[str, ...]]:
    """Resolve the change against what runs. Returns the draft and notes. Raises PlanRefused."""
    stable = common_refusals(release, seen)
    notes = _elsewhere(release, stable)
    old_image = running_image(stable.template, release)
    old_version = version_of(old_image)
    template, image = stable.template, old_image
    who = f"by {release.requested_by.name or release.requested_by.user}, {release.id}"
    match release.change:
        case Deploy(version=version):
            try:
                image = resolve_image(version, running=old_image, allowed=release.target.images)
            except ImageMistake as mistake:
                raise PlanRefused(str(mistake)) from mistake
            template = with_image(stable.template, release, image)
            if template == stable.template:
                raise PlanRefused(f"{release.target.app} already runs {version_of(image)}")
            moved = _moved_tag(image, seen)
            notes = (*notes, *moved)
            cause = f"{release.target.app} {version_of(image)} {who}"
        case Scale(replicas=count):
            _scale_refusals(release, seen, stable, count)
            cause = ""
        case Restart():
            template = copy.deepcopy(stable.template)
            stamp = f"{now // 1000}"
            template.setdefault("metadata", {}).setdefault("annotations", {})[RESTARTED_AT] = stamp
            cause = f"restart {who}"
        case Undo(template=wanted):
            if wanted is None:
                raise PlanRefused(f"{release.target.app} has no earlier revision to go back to")
            if wanted == stable.template:
                raise PlanRefused(f"{release.target.app} is already on that template ({old_version}): nothing to undo")
            template, image = wanted, running_image(wanted, release)
            cause = f"undo to {version_of(image)} {who}"
        case Reapply(template=wanted):
            template, image = wanted, running_image(wanted, release)
            cause = f"apply {who}"
    if release.reason and cause:
        cause = f"{cause}: {release.reason}"
    draft = Draft(
        release, seen, stable, template, image, version_of(image), old_image, old_version, cause[:250],
        deadline_of(stable, release), now,
    )  # fmt: skip
    return draft, notes


def _moved_tag(image: str, seen: Observation) -> tuple[str, ...]:
    """A digest is compared, never written: pods of one tag with two image ids mean that the tag was moved."""
    wanted = split_image(image)
    ids = {
        c.image_id.rpartition("@")[2]
        for pod in pods_of(seen.stable)
        for c in pod.containers
        if split_image(c.image) == wanted and "@sha256:" in c.image_id
    }
    return (f"the tag {wanted.tag} was moved: pods run {len(ids)} different digests of it",) if len(ids) > 1 else ()


def _scale_refusals(release: Release, seen: Observation, stable: DeploymentSeen, count: int) -> None:
    app, rules = release.target.app, release.rules
    top = rules.scale_max
    if count < 0:
        raise PlanRefused("the number of replicas cannot be negative")
    if count < rules.scale_min or (top is not None and count > top):
        raise PlanRefused(f"{app} may have {rules.scale_min} to {top if top is not None else 'any number of'} replicas, not {count}")
    for autoscaler in seen.survey.autoscalers if seen.survey else ():
        if autoscaler.target == stable.name:
            raise PlanRefused(
                f"HorizontalPodAutoscaler {autoscaler.name} keeps {app} between {autoscaler.min_replicas} and "
                f"{autoscaler.max_replicas} replicas and would undo it: change its bounds instead"
            )
    if stable.replicas == count:
        raise PlanRefused(f"{app} already has {count} replicas")


def seed_intents(release: Release, plan: Plan, seen: Observation) -> tuple[Intent, ...]:
    """What the release depends on, as found: any other value later is drift. Replicas only where no autoscaler moves them."""
    stable = seen.stable
    if stable is None:
        return ()
    depends = [
        (Field.TEMPLATE, stable.template),
        (Field.PAUSED, stable.paused),
        (Field.STRATEGY, stable.strategy),
        (Field.SELECTOR, stable.selector),
    ]
    if not plan.has_autoscaler:
        depends.append((Field.REPLICAS, stable.replicas))
    intents = [Intent(Kind.DEPLOYMENT, stable.name, Field.EXISTS, stable.uid, True, confirmed=True)]
    intents += [Intent(Kind.DEPLOYMENT, stable.name, field, value, value, confirmed=True) for field, value in depends]
    for service in seen.services:
        if service.name not in release.target.services:
            continue
        intents.append(Intent(Kind.SERVICE, service.name, Field.EXISTS, service.uid, True, confirmed=True))
        selector = dict(service.selector)
        intents.append(Intent(Kind.SERVICE, service.name, Field.SELECTOR, selector, selector, confirmed=True))
        intents.append(Intent(Kind.SERVICE, service.name, Field.AFFINITY, service.affinity, service.affinity, confirmed=True))
    return tuple(intents)


def as_found_of(release: Release, plan: Plan, seen: Observation, now: int) -> AsFound:
    if seen.stable is None:
        raise PlanRefused(f"there is no Deployment `{release.target.deployment}`")
    nearby = (seen.candidate, *(seen.survey.leftovers if seen.survey else ()))
    there = next((item for item in nearby if item is not None and item.name == plan.candidate), None)
    candidate = deployment_as_found(there) if there is not None else None
    services = tuple(service_as_found(s) for s in seen.services if s.name in release.target.services)
    return AsFound(seen.cluster_uid, now, deployment_as_found(seen.stable), services, candidate)


def as_found_hash(found: AsFound) -> str:
    """Names the objects a plan was made for: uids, template, replicas, selectors."""
    facts = [
        found.stable.uid,
        found.stable.template,
        found.stable.replicas,
        [(s.uid, s.selector) for s in found.services],
        [found.candidate.uid, found.candidate.template, found.candidate.replicas] if found.candidate else None,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def with_notes(plan: Plan, notes: tuple[str, ...]) -> Plan:
    return replace(plan, notes=(*notes, *plan.notes)) if notes else plan


def found_cause(found: DeploymentAsFound) -> str:
    return found.annotations.get(CAUSE_ANNOTATION, "")
