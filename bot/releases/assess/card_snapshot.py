"""The part of an observation that a card shows. Never used to decide anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.releases.assess.rollout import newest, pods_of, ready_endpoints
from bot.releases.assess.struggle import struggle_of
from bot.releases.facts.card_snapshot import CARD_SNAPSHOT_PODS, CardSnapshot, PodLine, VersionCount
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen
from bot.releases.facts.plan import Plan
from bot.releases.facts.release import Release
from bot.releases.facts.target import Strategy

SideName: TypeAlias = Literal["stable", "candidate"]


TERMINATING = "Terminating"


def pod_status(pod: PodSeen) -> str:
    """kubectl's STATUS column. Source: kubectl printers, printPod."""
    if pod.terminating:
        return TERMINATING
    if pod.reason:
        return pod.reason
    for container in pod.containers:
        if container.waiting:
            return container.waiting
        if container.last_terminated and not container.ready and not container.running_since:
            return container.last_terminated
    if pod.unschedulable:
        return "Unschedulable"
    return pod.phase


def pod_role(release: Release, side: SideName, *, is_new: bool, has_both: bool) -> str:
    """One word for a pod's part in a release, the same on the card, in its thread and in `/pods`:
    old and new where one Deployment rolls, else stable and candidate; in blue/green the colours in
    the Deployments' names, which stay with their Deployment when the roles swap."""
    if not has_both:
        return "new" if is_new else "old"
    if release.strategy is not Strategy.BLUEGREEN:
        return side
    return "green" if bool(release.target.idle) == (side == "stable") else "blue"


def ready_containers(pod: PodSeen) -> str:
    """kubectl's READY column: ``1/2``."""
    containers = [one for one in pod.containers if not one.init]
    return f"{sum(one.ready for one in containers)}/{len(containers)}"


def app_image(pod: PodSeen, container: str | None) -> str:
    for item in pod.containers:
        if not item.init and (container is None or item.name == container):
            return item.image
    return pod.containers[0].image if pod.containers else ""


def take_card_snapshot(release: Release, seen: Observation) -> CardSnapshot:
    sides = (
        *_snapshot_of_side(release, seen, "stable", seen.stable),
        *_snapshot_of_side(release, seen, "candidate", seen.candidate),
    )
    lines = sorted(
        (line for side in sides for line in side.lines),
        key=lambda line: (line.side, line.is_new, line.created_at, line.name),
    )
    versions = tuple(count for side in sides for count in side.versions)
    others = _other_endpoints(release, seen)
    serving = _serving(seen, {side.name for side in sides if side.endpoints})
    return CardSnapshot(
        desired=seen.stable.replicas if seen.stable else 0,
        updated=seen.stable.updated if seen.stable else 0,
        available=seen.stable.available if seen.stable else 0,
        versions=versions,
        pods=tuple(lines[:CARD_SNAPSHOT_PODS]),
        pods_total=len(lines),
        serving=serving,
        serving_since=_since(release.card_snapshot, serving, seen.at),
        share=_share(seen, versions, sum(side.endpoints for side in sides) + others),
        others=others,
        struggle=struggle_of(release, seen),
    )


@dataclass(frozen=True)
class _SideSnapshot:
    name: SideName
    endpoints: int  # ready ones in the app's Services
    lines: tuple[PodLine, ...]
    versions: tuple[VersionCount, ...]


def _snapshot_of_side(
    release: Release,
    seen: Observation,
    side: SideName,
    deployment: DeploymentSeen | None,
) -> tuple[_SideSnapshot, ...]:
    if deployment is None:
        return ()
    endpoints = {e.pod_uid for e in ready_endpoints(seen, deployment, release.target.services)}
    current = newest(deployment)
    pods = tuple(
        (
            pod,
            pod_line(
                release.plan,
                release.target.container,
                side,
                pod,
                is_current=replica_set is current,
                revision=replica_set.revision,
            ),
        )
        for replica_set in deployment.replica_sets
        for pod in replica_set.pods
    )
    by_version: dict[tuple[str, bool], list[PodSeen]] = {}
    for pod, line in pods:
        by_version.setdefault((line.version, line.is_new), []).append(pod)
    versions = tuple(
        _version_count(side, version, group, endpoints, is_new=is_new)
        for (version, is_new), group in sorted(by_version.items())
    )
    return (_SideSnapshot(side, len(endpoints), tuple(line for _, line in pods), versions),)


def pod_line(
    plan: Plan | None,
    container: str | None,
    side: SideName,
    pod: PodSeen,
    *,
    is_current: bool,
    revision: int,
) -> PodLine:
    """``plan``: of the running release. ``is_current``: of the ReplicaSet of the current
    template."""
    image = app_image(pod, container)
    # a restart or the undo of a label keeps the image: then the ReplicaSet tells new from old
    changes_image = plan is not None and plan.image != plan.from_image
    is_new = image == plan.image if plan and changes_image else is_current
    return PodLine(
        pod.name,
        side,
        version_of(image),
        image,
        pod.ready and not pod.terminating,
        pod_status(pod),
        pod.restarts,
        pod.node,
        pod.created_at,
        is_new,
        ready_containers(pod),
        revision,
        max((one.last_terminated_at for one in pod.containers if not one.init), default=0),
    )


def _version_count(
    side: SideName,
    version: str,
    pods: Sequence[PodSeen],
    endpoints: Collection[str],
    *,
    is_new: bool,
) -> VersionCount:
    present = [pod for pod in pods if not pod.terminating]
    return VersionCount(
        side,
        version,
        is_new,
        len(present),
        sum(pod.ready for pod in present),
        sum(pod.uid in endpoints for pod in pods),
    )


def _serving(
    seen: Observation, sides: Collection[SideName]
) -> Literal["stable", "candidate", "both", "none", ""]:
    if not seen.services:
        return ""
    if len(sides) > 1:
        return "both"
    return next(iter(sides), "none")


def _other_endpoints(release: Release, seen: Observation) -> int:
    """Pods of neither side that the app's Services send traffic to; one behind two Services counts
    once."""
    ours = {pod.uid for pod in (*pods_of(seen.stable), *pods_of(seen.candidate))}
    return len(
        {
            e.pod_uid or e.address
            for e in seen.endpoints
            if e.ready
            and not e.terminating
            and e.service in release.target.services
            and e.pod_uid not in ours
        }
    )


def _share(seen: Observation, versions: Sequence[VersionCount], endpoints: int) -> int | None:
    """Percent of the ready endpoints that run the new version: stable's own new pods count too once
    it rolls."""
    if not endpoints or seen.candidate is None:
        return None
    return round(100 * sum(count.endpoints for count in versions if count.is_new) / endpoints)


def _since(before: CardSnapshot, serving: str, at: int) -> int:
    if before.serving in ("", serving):
        return before.serving_since
    return at
