"""From a change and an observation to what a strategy writes its plan from, or to the reason for a
refusal."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from bot.releases.assess.handover import local_policy
from bot.releases.assess.rollout import pods_of
from bot.releases.assess.selectors import is_label_value
from bot.releases.facts.changes import Deploy, Reapply, Restart, Scale, Undo
from bot.releases.facts.images import (
    ImageMistake,
    normal_repository,
    resolve_image,
    split_image,
    version_of,
)
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.plan import ApprovalGate, Confirmation, Gate, Plan
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target
from bot.releases.planning.capacity import deadline_of
from bot.releases.planning.incomplete import start_state
from bot.releases.planning.refusals import (
    PlanRefused,
    common_refusals,
    elsewhere_notes,
    refuse_scale,
)

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True)
class Draft:
    """What a strategy writes its plan from: the change resolved, the cluster as found."""

    release: Release
    seen: Observation
    stable: DeploymentSeen
    template: Any  # what stable will run at the end
    image: str
    version: str
    from_image: str
    from_version: str
    cause: str  # kubernetes.io/change-cause
    deadline_ms: int  # of one roll of stable
    now: int
    is_broken: bool = False  # stable as found: a person confirms the start

    def plan(
        self, *, confirm: Mapping[Confirmation, str] = MappingProxyType({}), **parts: Any
    ) -> Plan:
        """With the gates before the start. ``confirm``: what the strategy asks, by the name of its
        gate."""
        asked = {**self._questions(down=bool(parts.get("down"))), **confirm}
        confirmed = tuple(self._confirmation(*one) for one in asked.items())
        gates = (*self._override_gates(), *confirmed, *start_gates(self.release))
        return Plan(self.image, self.version, self.from_image, self.from_version, gates, **parts)

    def _override_gates(self) -> tuple[Gate, ...]:
        if not self.release.needs_second_admin:
            return ()
        rules = self.release.rules.approvals
        how = (rules.expires_ms, rules.on_expiry)
        return (ApprovalGate("override", 1, False, *how, "override the freeze", role="admin"),)

    def _questions(self, *, down: bool) -> dict[Confirmation, str]:
        """An undo never waits for a confirmation: it is how people get out of trouble."""
        app = self.release.target.label
        asked: dict[Confirmation, str] = {}
        if self.is_broken:
            asked[Confirmation.UNHEALTHY] = (
                f"confirm the release though {self.stable.name} is not healthy"
            )
        if down and not isinstance(self.release.change, Undo):
            asked[Confirmation.DOWNTIME] = f"confirm that {app} will be down meanwhile"
        return asked

    def _confirmation(self, name: Confirmation, title: str) -> ApprovalGate:
        """Someone must confirm that this is intended, and the requester may."""
        approvals = self.release.rules.approvals
        return ApprovalGate(
            name, 1, True, approvals.expires_ms, approvals.on_expiry, title, role="deployer"
        )


def start_gates(release: Release) -> tuple[Gate, ...]:
    """A start that stands in for a promotion needs the same groups."""
    rules = release.rules.approvals
    promote = rules.promote if _goes_around_approval(release) else 0
    how = (rules.requester_may_approve, rules.expires_ms, rules.on_expiry)
    is_one = rules.start_voters == rules.promote_voters
    count = max(rules.start, promote) if is_one else rules.start
    start, version = rules.start_voters, rules.promote_voters
    gates = (
        ApprovalGate("start", count, *how, "approve the start", voters=start),
        ApprovalGate("version", promote, *how, "approve the version", voters=version),
    )
    return tuple(one for one in gates[: 1 if is_one else 2] if one.quorum > 0)


def local_traffic_to_confirm(services: Sequence[ServiceSeen]) -> dict[Confirmation, str]:
    """Traffic stays on the node that it reaches: while pods of two versions come and go, a node may
    serve nobody."""
    for service in services:
        if policy := local_policy(service):
            what = f"confirm the release though Service {service.name} has {policy}"
            return {Confirmation.LOCAL_TRAFFIC: what}
    return {}


def _goes_around_approval(release: Release) -> bool:
    """Where the app's own strategy asks for an approval, no other way to change its pods' version
    does without one. An undo, a restart and scaling stay as quick as they are, and an emergency
    has an admin's reason instead."""
    if not release.rules.own_strategy_asks:
        return False
    match release.change:
        case Deploy(strategy=strategy):
            return strategy not in (release.rules.own_strategy, *release.rules.emergency)
        case Reapply():
            return True
        case _:
            return False


def container_index(template: Any, name: str | None, app: str) -> int:
    """Index of the app's container in a pod template. Raises PlanRefused."""
    containers = template.get("spec", {}).get("containers", [])
    names = [c.get("name", "") for c in containers]
    if name is None:
        if len(containers) == 1:
            return 0
        raise PlanRefused(
            f"{app} has several containers ({', '.join(names)}). Name one as `container:` in the"
            " catalog."
        )
    if name not in names:
        raise PlanRefused(
            f"{app} has no container `{name}`, only {', '.join(names)}. Fix `container:` in the"
            " catalog."
        )
    return names.index(name)


def app_container(release: Release, template: Any) -> str | None:
    """The name of the app's container: pods may have others that the cluster adds."""
    containers = template.get("spec", {}).get("containers", [])
    if release.target.container is not None or len(containers) != 1:
        return release.target.container
    return str(containers[0].get("name", "")) or None


def running_image(template: Any, release: Release) -> str:
    return image_in(template, release.target)


def image_in(template: Any, target: Target) -> str:
    """Of the app's container. Raises PlanRefused."""
    index = container_index(template, target.container, target.app)
    return str(template["spec"]["containers"][index].get("image", ""))


def with_image(template: Any, release: Release, image: str) -> Any:
    """The template with the image in the app's container, and its version in the version label
    where the catalog names one."""
    result = copy.deepcopy(template)
    result["spec"]["containers"][
        container_index(template, release.target.container, release.target.app)
    ]["image"] = image
    label = release.target.version_label
    if label:
        result.setdefault("metadata", {}).setdefault("labels", {})[label] = version_of(image)
    return result


def _with_running_version(wanted: Any, runs: Any, release: Release) -> Any:
    """Manifests never choose the version: the image that runs now, and its version label, stay. A
    release may have changed both since the manifests were compared."""
    result = copy.deepcopy(wanted)
    index = container_index(result, release.target.container, release.target.app)
    result["spec"]["containers"][index]["image"] = running_image(runs, release)
    label = release.target.version_label
    now = ((runs.get("metadata") or {}).get("labels") or {}).get(label or "")
    if label and now is not None:
        result.setdefault("metadata", {}).setdefault("labels", {})[label] = now
    return result


@dataclass(frozen=True)
class _Resolved:
    """What a change makes of the template that runs."""

    template: Any
    image: str
    cause: str  # "" where the change is no new revision
    notes: tuple[str, ...] = ()


def make_draft(release: Release, seen: Observation, now: int) -> tuple[Draft, tuple[str, ...]]:
    """Resolve the change against what runs. Returns the draft and notes. Raises PlanRefused."""
    stable = common_refusals(release, seen)
    state = start_state(release, stable, now)
    notes = elsewhere_notes(release, stable)
    image = running_image(stable.template, release)
    resolved = _resolve(release, seen, stable, image, now)
    cause = resolved.cause
    if release.reason and cause:
        cause = f"{cause}: {release.reason}"
    draft = Draft(
        release,
        seen,
        stable,
        resolved.template,
        resolved.image,
        version_of(resolved.image),
        image,
        version_of(image),
        cause[:250],
        deadline_of(stable, release),
        now,
        state.is_broken,
    )
    left = f"{stable.name} carries the claim of release {stable.claim}, which is over"
    found = (state.note, left if stable.claim else "")
    return draft, (*filter(None, found), *notes, *resolved.notes)


def _resolve(
    release: Release, seen: Observation, stable: DeploymentSeen, running: str, now: int
) -> _Resolved:
    """``running``: the image that runs now."""
    who = f"by {release.requested_by.display_name}, {release.id}"
    match release.change:
        case Deploy() as deploy:
            return _deploy(deploy, release, seen, stable, running, who)
        case Scale(replicas=count):
            refuse_scale(release, seen, stable, count)
            return _Resolved(stable.template, running, "")
        case Restart():
            template = copy.deepcopy(stable.template)
            annotations = template.setdefault("metadata", {}).setdefault("annotations", {})
            annotations[RESTARTED_AT] = f"{now // 1000}"
            return _Resolved(template, running, f"restart {who}")
        case Undo(template=wanted):
            return _undo(wanted, release, stable, running, who)
        case Reapply(template=None):
            return _Resolved(stable.template, running, "")
        case Reapply(template=wanted):
            template = _with_running_version(wanted, stable.template, release)
            return _Resolved(template, running_image(template, release), f"apply {who}")


def _deploy(
    deploy: Deploy,
    release: Release,
    seen: Observation,
    stable: DeploymentSeen,
    running: str,
    who: str,
) -> _Resolved:
    app = release.target.app
    try:
        image = resolve_image(deploy.version, running=running, allowed=release.target.images)
    except ImageMistake as mistake:
        raise PlanRefused(str(mistake)) from mistake
    _refuse_label_value(release, version_of(image))
    template = with_image(stable.template, release, image)
    if template == stable.template:
        again = f"rollout restart {release.target.typed}"
        raise PlanRefused(f"{app} already runs {version_of(image)}.", instead=again)
    notes = (*_moved_tag(image, seen), *_staying_init_containers(template, running))
    return _Resolved(template, image, f"{app} {version_of(image)} {who}", notes)


def _refuse_label_value(release: Release, version: str) -> None:
    """The API server would refuse the template; a digest or a long tag is no label value."""
    label = release.target.version_label
    if label and not is_label_value(version):
        raise PlanRefused(
            f"`{version}` cannot be the value of the label {label}. Use a shorter tag of"
            " letters and digits."
        )


def _undo(
    wanted: Any, release: Release, stable: DeploymentSeen, running: str, who: str
) -> _Resolved:
    app = release.target.app
    if wanted is None:
        raise PlanRefused(f"{app} has no earlier revision to undo to.")
    if wanted == stable.template:
        raise PlanRefused(
            f"{app} already runs that template ({version_of(running)}). There is nothing to undo."
        )
    image = running_image(wanted, release)
    same = f"no version changes: {app} stays on {version_of(image)}"
    notes = (same,) if image == running else ()
    return _Resolved(wanted, image, f"undo to {version_of(image)} {who}", notes)


def _staying_init_containers(template: Any, running: str) -> tuple[str, ...]:
    """A migration of the old version would run before the new one."""
    repository = normal_repository(split_image(running).repository)
    return tuple(
        f"init container {one.get('name', '')} stays on {version_of(one['image'])}"
        " of the same image"
        for one in (template.get("spec") or {}).get("initContainers") or ()
        if normal_repository(split_image(one.get("image", "")).repository) == repository
    )


def _moved_tag(image: str, seen: Observation) -> tuple[str, ...]:
    """Pods of one tag with two image ids mean that the tag was moved. Digests are compared, never
    written."""
    wanted = split_image(image)
    ids = {
        c.image_id.rpartition("@")[2]
        for pod in pods_of(seen.stable)
        for c in pod.containers
        if split_image(c.image) == wanted and "@sha256:" in c.image_id
    }
    return (
        (f"the tag {wanted.tag} was moved: pods run {len(ids)} different digests of it",)
        if len(ids) > 1
        else ()
    )


def with_notes(plan: Plan, notes: tuple[str, ...]) -> Plan:
    return replace(plan, notes=(*notes, *plan.notes)) if notes else plan
