"""The part of an observation that a card shows. Never used to decide anything."""

from __future__ import annotations

from typing import Literal

from bot.releases.assess.rollout import newest, ready_endpoints
from bot.releases.facts.card_snapshot import CARD_SNAPSHOT_PODS, CardSnapshot, PodLine, VersionCount
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen
from bot.releases.facts.release import Release

_ROLES: tuple[Literal["stable", "candidate"], ...] = ("stable", "candidate")


def pod_status(pod: PodSeen) -> str:
    """kubectl's STATUS column. Source: kubectl printers, printPod."""
    if pod.terminating:
        return "Terminating"
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


def app_image(pod: PodSeen, container: str | None) -> str:
    for item in pod.containers:
        if not item.init and (container is None or item.name == container):
            return item.image
    return pod.containers[0].image if pod.containers else ""


def take_card_snapshot(release: Release, seen: Observation) -> CardSnapshot:
    new_image = release.plan.image if release.plan else ""
    lines: list[PodLine] = []
    counts: list[VersionCount] = []
    serving_by_role: dict[str, int] = {}
    pairs: tuple[tuple[Literal["stable", "candidate"], DeploymentSeen | None], ...] = (
        (_ROLES[0], seen.stable),
        (_ROLES[1], seen.candidate),
    )
    for role, deployment in pairs:
        if deployment is None:
            continue
        endpoints = {e.pod_uid for e in ready_endpoints(seen, deployment, release.target.services)}
        serving_by_role[role] = len(endpoints)
        current = newest(deployment)
        by_version: dict[tuple[str, bool], list[PodSeen]] = {}
        for replica_set in deployment.replica_sets:
            for pod in replica_set.pods:
                image = app_image(pod, release.target.container)
                # a restart or an undo of a label keeps the image: there the ReplicaSet tells new
                # from old
                is_new = (
                    image == new_image
                    if release.plan and new_image != release.plan.from_image
                    else replica_set is current
                )
                by_version.setdefault((version_of(image), is_new), []).append(pod)
                lines.append(
                    PodLine(
                        pod.name,
                        role,
                        version_of(image),
                        image,
                        pod.ready and not pod.terminating,
                        pod_status(pod),
                        pod.restarts,
                        pod.node,
                        pod.created_at,
                        is_new,
                    )
                )
        for (version, is_new), pods in sorted(by_version.items()):
            alive = [pod for pod in pods if not pod.terminating]
            counts.append(
                VersionCount(
                    role,
                    version,
                    is_new,
                    len(alive),
                    sum(pod.ready for pod in alive),
                    sum(pod.uid in endpoints for pod in pods),
                )
            )
    stable_ready, candidate_ready = (
        serving_by_role.get("stable", 0),
        serving_by_role.get("candidate", 0),
    )
    total = stable_ready + candidate_ready
    on_new = sum(
        count.endpoints for count in counts if count.is_new
    )  # stable's own new pods too, once it rolls
    serving: Literal["stable", "candidate", "both", "none", ""] = "none"
    if not seen.services:
        serving = ""
    elif stable_ready and candidate_ready:
        serving = "both"
    elif total:
        serving = "stable" if stable_ready else "candidate"
    lines.sort(key=lambda line: (line.side, line.is_new, line.created_at, line.name))
    return CardSnapshot(
        desired=seen.stable.replicas if seen.stable else 0,
        updated=seen.stable.updated if seen.stable else 0,
        available=seen.stable.available if seen.stable else 0,
        versions=tuple(counts),
        pods=tuple(lines[:CARD_SNAPSHOT_PODS]),
        pods_total=len(lines),
        serving=serving,
        serving_since=_since(release.card_snapshot, serving, seen.at),
        share=round(100 * on_new / total) if total and seen.candidate is not None else None,
    )


def _since(before: CardSnapshot, serving: str, at: int) -> int:
    if before.serving in ("", serving):
        return before.serving_since
    return at
