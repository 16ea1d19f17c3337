"""Builders for the values of bot.releases: a healthy app by default, so that a test states only
what it is about.

Belongs here: functions that return one frozen value. Not: behaviour, doubles, fixtures. Times start
at ``T0``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.query import Query, QueryCommand, ReplyTo
from bot.releases.facts.changes import Change, Deploy, Scale
from bot.releases.facts.observation import (
    ContainerSeen,
    DeploymentSeen,
    EndpointSeen,
    Observation,
    PodSeen,
    ReplicaSetSeen,
    ServiceSeen,
    Survey,
)
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.rules import ApprovalRules, BlueGreenRules, CanaryRules, Rules
from bot.releases.facts.target import Strategy, Target

T0 = 1_800_000_000_000
SECOND = 1_000
MINUTE = 60_000

REPOSITORY = "kelseyhightower/hello"
DEVELOPER = Person("T1", "U0DEV1", "developer")
OTHER_DEVELOPER = Person("T1", "U0DEV2", "other developer")
MANAGER = Person("T1", "U0MANAGER", "manager")
ADMIN = Person("T1", "U0ADMIN", "admin")

NO_AFFINITY: dict[str, Any] = {"sessionAffinity": "None", "sessionAffinityConfig": None}
ROLLING_UPDATE: dict[str, Any] = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
}
SELECTOR: dict[str, Any] = {"matchLabels": {"app": "hello"}}


def a_rolling_update(surge: int | str, unavailable: int | str) -> dict[str, Any]:
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
    }


def a_template(
    version: str = "1.0.0",
    *,
    labels: Mapping[str, str] | None = None,
    container: str = "hello",
    **spec: Any,
) -> dict[str, Any]:
    """A pod template of hello at a version; ``spec`` adds to the pod's spec."""
    return {
        "metadata": {"labels": dict(labels) if labels is not None else {"app": "hello"}},
        "spec": {
            "containers": [
                {
                    "name": container,
                    "image": f"{REPOSITORY}:{version}",
                    "ports": [{"containerPort": 80}],
                    "readinessProbe": {"httpGet": {"path": "/readiness", "port": 81}},
                }
            ],
            **spec,
        },
    }


def a_container(
    image: str = f"{REPOSITORY}:1.0.0", *, name: str = "hello", ready: bool = True, **facts: Any
) -> ContainerSeen:
    return ContainerSeen(name, image, ready=ready, **facts)


def a_pod(
    name: str = "hello-1-a",
    *,
    image: str = f"{REPOSITORY}:1.0.0",
    ready: bool = True,
    labels: Mapping[str, str] | None = None,
    created_at: int = T0 - MINUTE,
    waiting: str = "",
    message: str = "",
    restarts: int = 0,
    containers: tuple[ContainerSeen, ...] | None = None,
    **facts: Any,
) -> PodSeen:
    """A pod, ready unless ``waiting`` or ``ready=False`` is given."""
    ready = ready and not waiting
    if containers is None:
        containers = (
            a_container(image, ready=ready, waiting=waiting, message=message, restarts=restarts),
        )
    return PodSeen(
        name,
        f"uid-{name}",
        labels=dict(labels) if labels is not None else {"app": "hello"},
        node="node-1",
        phase=facts.pop("phase", "Running" if ready else "Pending"),
        ready=ready,
        ready_since=facts.pop("ready_since", created_at + 3 * SECOND if ready else 0),
        created_at=created_at,
        containers=containers,
        **facts,
    )


def pods_for(
    replica_set: str, template: Any, count: int, *, ready: int | None = None, **facts: Any
) -> tuple[PodSeen, ...]:
    """``count`` pods of a template, the first ``ready`` of them ready (default: all)."""
    image = template["spec"]["containers"][0].get("image", "")
    labels = template["metadata"].get("labels") or {}
    top = count if ready is None else ready
    return tuple(
        a_pod(f"{replica_set}-{index}", image=image, labels=labels, ready=index < top, **facts)
        for index in range(count)
    )


def a_replica_set(
    name: str = "hello-1",
    template: Any = None,
    *,
    revision: int = 1,
    pods: tuple[PodSeen, ...] | None = None,
    **facts: Any,
) -> ReplicaSetSeen:
    """A ReplicaSet whose counters follow its pods (default: none)."""
    template = a_template() if template is None else template
    alive = tuple(pod for pod in pods or () if not pod.terminating)
    ready = sum(pod.ready for pod in alive)
    return ReplicaSetSeen(
        name,
        f"uid-{name}",
        revision,
        template,
        template_hash=facts.pop("template_hash", str(revision)),
        labels=facts.pop("labels", dict(template["metadata"].get("labels") or {})),
        desired=facts.pop("desired", len(alive)),
        replicas=len(alive),
        ready=ready,
        available=ready,
        created_at=facts.pop("created_at", T0 - 10 * MINUTE),
        pods=tuple(pods or ()),
        **facts,
    )


def a_deployment(
    name: str = "hello",
    template: Any = None,
    *,
    replicas: int = 3,
    replica_sets: tuple[ReplicaSetSeen, ...] | None = None,
    **facts: Any,
) -> DeploymentSeen:
    """A complete Deployment: one ReplicaSet of its template with all pods ready. ``replica_sets``:
    newest first, counters follow."""
    template = a_template() if template is None else template
    if replica_sets is None:
        replica_sets = (
            a_replica_set(f"{name}-1", template, pods=pods_for(f"{name}-1", template, replicas)),
        )
    current = next((rs for rs in replica_sets if rs.template == template), None)
    status = {
        "generation": 1,
        "observed_generation": 1,
        "status_replicas": sum(rs.replicas for rs in replica_sets),
        "updated": current.replicas if current else 0,
        "ready": sum(rs.ready for rs in replica_sets),
        "available": sum(rs.available for rs in replica_sets),
        "paused": False,
        "selector": SELECTOR,
        "strategy": ROLLING_UPDATE,
        "labels": {"app": "hello"},
        "annotations": {
            "deployment.kubernetes.io/revision": str(
                replica_sets[0].revision if replica_sets else 1
            )
        },
    }
    uid = facts.pop("uid", f"uid-{name}")
    return DeploymentSeen(
        name,
        uid,
        replicas=replicas,
        template=template,
        replica_sets=replica_sets,
        **{**status, **facts},
    )


def a_rolling_deployment(
    *,
    new: int,
    old: int,
    new_ready: int | None = None,
    replicas: int = 3,
    version: str = "2.0.0",
    **facts: Any,
) -> DeploymentSeen:
    """Half-rolled from 1.0.0 to ``version``: that many new and old pods."""
    before, after = a_template(), a_template(version)
    sets = (
        a_replica_set(
            "hello-2",
            after,
            revision=2,
            pods=pods_for("hello-2", after, new, ready=new_ready, created_at=T0),
        ),
        a_replica_set("hello-1", before, revision=1, pods=pods_for("hello-1", before, old)),
    )
    return a_deployment(
        template=after,
        replicas=replicas,
        replica_sets=sets,
        **{"generation": 2, "observed_generation": 2, **facts},
    )


def a_service(name: str = "hello", **facts: Any) -> ServiceSeen:
    return ServiceSeen(
        name,
        f"uid-service-{name}",
        facts.pop("resource_version", "1"),
        facts.pop("selector", {"app": "hello"}),
        facts.pop("affinity", NO_AFFINITY),
        cluster_ip=facts.pop("cluster_ip", "10.0.0.10"),
        ports=facts.pop("ports", ({"name": "http", "port": 80, "protocol": "TCP"},)),
        **facts,
    )


def endpoints_for(
    services: Sequence[ServiceSeen], *deployments: DeploymentSeen | None
) -> tuple[EndpointSeen, ...]:
    """What the EndpointSlice controller would write: every pod that the Service selects."""
    return tuple(
        EndpointSeen(
            service.name,
            pod.ip or f"ip-{pod.name}",
            pod.name,
            pod.uid,
            pod.ready and not pod.terminating,
            pod.terminating,
        )
        for service in services
        for deployment in deployments
        if deployment is not None
        for replica_set in deployment.replica_sets
        for pod in replica_set.pods
        if service.selector
        and all(pod.labels.get(key) == value for key, value in service.selector.items())
    )


def an_observation(
    stable: DeploymentSeen | None = None,
    candidate: DeploymentSeen | None = None,
    *,
    services: tuple[ServiceSeen, ...] | None = None,
    survey: Survey | None = None,
    at: int = T0,
    **facts: Any,
) -> Observation:
    """A snapshot with hello and its Service; endpoints follow from the pods. For a deleted
    Deployment use ``without_stable``."""
    stable = a_deployment() if stable is None else stable
    services = (a_service(),) if services is None else services
    return Observation(
        at,
        "uid-cluster",
        stable,
        candidate,
        services,
        facts.pop("endpoints", endpoints_for(services, stable, candidate)),
        survey=Survey() if survey is None else survey,
        **facts,
    )


def without_stable(seen: Observation) -> Observation:
    return replace(seen, stable=None, endpoints=())


def a_target(**parts: Any) -> Target:
    return Target(
        **{
            "app": "hello",
            "cluster": "local",
            "namespace": "default",
            "deployment": "hello",
            "container": None,
            "services": ("hello",),
            **parts,
        }
    )


def rules_with(
    *,
    canary: Mapping[str, Any] | None = None,
    bluegreen: Mapping[str, Any] | None = None,
    approvals: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Rules:
    """The default rules with some settings of each section changed."""
    return Rules(
        canary=CanaryRules(**(canary or {})),
        bluegreen=BlueGreenRules(**(bluegreen or {})),
        approvals=ApprovalRules(**(approvals or {})),
        **parts,
    )


def a_release(change: Change | None = None, **parts: Any) -> Release:
    """A queued release hello-42 to 2.0.0, not yet planned."""
    return Release(
        **{
            "id": "hello-42",
            "target": a_target(),
            "rules": Rules(),
            "change": Deploy("2.0.0") if change is None else change,
            "requested_by": DEVELOPER,
            "channel": "C0RELEASES",
            "reason": "",
            "created_at": T0,
            **parts,
        }
    )


def a_canary(
    version: str = "2.0.0",
    *,
    rules: Rules | None = None,
    target: Target | None = None,
    **options: Any,
) -> Release:
    return a_release(
        Deploy(version, Strategy.CANARY, **options),
        rules=rules or Rules(),
        target=target or a_target(),
    )


def a_bluegreen(
    version: str = "2.0.0",
    *,
    rules: Rules | None = None,
    target: Target | None = None,
    **options: Any,
) -> Release:
    return a_release(
        Deploy(version, Strategy.BLUEGREEN, **options),
        rules=rules or Rules(),
        target=target or a_target(),
    )


def a_scaling(replicas: int, **parts: Any) -> Release:
    return a_release(Scale(replicas), **parts)


def a_query(command: QueryCommand, **parts: Any) -> Query:
    """Of the developer, about hello, from the channel of releases."""
    query = Query(command, DEVELOPER, ReplyTo("C0RELEASES"), ("hello",))
    return replace(query, **parts)
