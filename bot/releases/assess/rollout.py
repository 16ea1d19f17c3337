"""Has this rollout progressed, or completed? Which pods and endpoints belong to it?"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bot.releases.facts.observation import (
    DeploymentSeen,
    EndpointSeen,
    Observation,
    PodSeen,
    ReplicaSetSeen,
)


def newest(deployment: DeploymentSeen) -> ReplicaSetSeen | None:
    """The ReplicaSet of the current template; None before the controller made one."""
    for replica_set in deployment.replica_sets:
        if replica_set.template == deployment.template:
            return replica_set
    return None


def is_complete(deployment: DeploymentSeen) -> bool:
    """As ``kubectl rollout status`` means it: observed by the controller, all pods updated and
    available, no old pod left.

    Source: k8s.io/kubectl polymorphichelpers/rollout_status.go (DeploymentStatusViewer.Status).
    """
    return is_rolled(deployment) and deployment.available >= deployment.updated


def is_rolled(deployment: DeploymentSeen) -> bool:
    """All pods are updated and no old one is left; some may be unavailable."""
    return (
        deployment.observed_generation >= deployment.generation
        and deployment.updated >= deployment.replicas
        and deployment.status_replicas <= deployment.updated
    )


def is_past_its_deadline(deployment: DeploymentSeen) -> bool:
    """Of its own progressDeadlineSeconds, as the controller says."""
    return any(
        kind == "Progressing" and reason == "ProgressDeadlineExceeded"
        for kind, _status, reason, _message in deployment.conditions
    )


def has_proof(deployment: DeploymentSeen) -> bool:
    """A pod of the current template is available: neither old pods nor 0 replicas say anything
    about it."""
    current = newest(deployment)
    return current is not None and current.available > 0


def rollout_line(deployment: DeploymentSeen) -> str:
    """kubectl's sentence for the state of a rollout. Source: as is_complete."""
    name = deployment.name
    if deployment.observed_generation < deployment.generation:
        return "Waiting for deployment spec update to be observed..."
    if is_past_its_deadline(deployment):
        return f'deployment "{name}" exceeded its progress deadline'
    if deployment.updated < deployment.replicas:
        return (
            f'Waiting for deployment "{name}" rollout to finish: '
            f"{deployment.updated} out of {deployment.replicas} new replicas have been updated..."
        )
    if deployment.status_replicas > deployment.updated:
        return (
            f'Waiting for deployment "{name}" rollout to finish:'
            f" {deployment.status_replicas - deployment.updated} old replicas are pending"
            " termination..."
        )
    if deployment.available < deployment.updated:
        return (
            f'Waiting for deployment "{name}" rollout to finish: '
            f"{deployment.available} of {deployment.updated} updated replicas are available..."
        )
    return f'deployment "{name}" successfully rolled out'


def pods_of(deployment: DeploymentSeen | None) -> tuple[PodSeen, ...]:
    return tuple(pod for rs in deployment.replica_sets for pod in rs.pods) if deployment else ()


def live_pods(pods: Iterable[PodSeen]) -> tuple[PodSeen, ...]:
    """Those that run or may still run. An evicted pod stays behind as a failed object: its
    successor counts instead."""
    return tuple(
        pod for pod in pods if not pod.terminating and pod.phase not in ("Succeeded", "Failed")
    )


def ready_pods(deployment: DeploymentSeen | None) -> tuple[PodSeen, ...]:
    return tuple(pod for pod in pods_of(deployment) if pod.ready and not pod.terminating)


def may_get_requests(
    seen: Observation, deployment: DeploymentSeen | None, services: Collection[str]
) -> bool:
    """Whether the slices give proxies a reason to send it any: a pod that ends counts while it
    serves, since a proxy takes such ones where nothing else is ready.

    Source: KEP-1669, proxy terminating endpoints.
    """
    uids = {pod.uid for pod in pods_of(deployment)}
    return any(
        (one.ready or (one.serving and one.terminating))
        and one.pod_uid in uids
        and one.service in services
        for one in seen.endpoints
    )


def ready_endpoints(
    seen: Observation, deployment: DeploymentSeen | None, services: Collection[str] | None = None
) -> tuple[EndpointSeen, ...]:
    """Ready endpoints that are pods of the Deployment. ``services``: only theirs (a preview Service
    is observed too and serves nobody); None: of all."""
    uids = {pod.uid for pod in pods_of(deployment)}
    return tuple(
        e
        for e in seen.endpoints
        if e.ready
        and not e.terminating
        and e.pod_uid in uids
        and (services is None or e.service in services)
    )
