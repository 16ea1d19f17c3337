"""Kubernetes JSON into the facts of an observation. Pure: JSON in, frozen dataclasses out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bot.cluster.managed_fields import entries, managers
from bot.releases.facts.observation import (
    INSTALLATION_ANNOTATION,
    AutoscalerSeen,
    BudgetSeen,
    ContainerSeen,
    DeploymentSeen,
    EndpointSeen,
    PodSeen,
    QuotaScope,
    QuotaSeen,
    ReplicaSetSeen,
    ServiceSeen,
)
from config.redaction import bounded, redact

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
SERVICE_NAME = "kubernetes.io/service-name"
_MOST_SAID = 2_048


@lru_cache(maxsize=4_096)
def milliseconds(time: str | None) -> int:
    """A Kubernetes time (RFC 3339, seconds or microseconds, UTC) as integer milliseconds; 0 for
    none."""
    if not time:
        return 0
    moment = datetime.fromisoformat(time)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def written_at(item: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """(manager, subresource, when it last wrote) in Unix milliseconds."""
    times: dict[tuple[str, str], int] = {}
    for entry in entries(item):
        key = (str(entry.get("manager", "")), str(entry.get("subresource", "")))
        times[key] = max(times.get(key, 0), milliseconds(entry.get("time")))
    return tuple((manager, subresource, at) for (manager, subresource), at in times.items())


def owner_of(item: Mapping[str, Any]) -> str:
    """uid of the controller that owns the object, "" for none."""
    for reference in item["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""


def owned_by(items: Iterable[Any], uid: str) -> list[Any]:
    return [item for item in items if owner_of(item) == uid]


def deployment(
    item: Mapping[str, Any], replica_sets: Sequence[Any] = (), pods: Sequence[Any] = ()
) -> DeploymentSeen:
    """The Deployment with those of the ReplicaSets and pods that it owns, newest revision first."""
    meta, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    owned = [replica_set(one, pods) for one in owned_by(replica_sets, meta["uid"])]
    images, annotations = _images(spec["template"]), dict(meta.get("annotations") or {})
    return DeploymentSeen(
        name=meta["name"],
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        replicas=spec.get("replicas", 1),
        paused=bool(spec.get("paused")),
        selector=spec["selector"],
        template=spec["template"],
        strategy=spec.get("strategy") or {},
        labels=dict(meta.get("labels") or {}),
        annotations=annotations,
        installation=annotations.pop(INSTALLATION_ANNOTATION, ""),
        min_ready_seconds=spec.get("minReadySeconds", 0),
        progress_deadline_seconds=spec.get("progressDeadlineSeconds", 600),
        status_replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        conditions=tuple(
            (one["type"], one["status"], one.get("reason", ""), told(one.get("message"), images))
            for one in status.get("conditions") or ()
        ),
        replica_sets=tuple(
            sorted(owned, key=lambda one: (one.revision, one.created_at), reverse=True)
        ),
        managers=managers(item),
        written_at=written_at(item),
        terminating="deletionTimestamp" in meta,
        resource_version=meta["resourceVersion"],
        owner=_owner_words(item),
        finalizers=tuple(meta.get("finalizers") or ()),
    )


def _owner_words(item: Mapping[str, Any]) -> str:
    for reference in item["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return f"{reference.get('kind', '')} {reference.get('name', '')}"
    return ""


def replica_set(item: Mapping[str, Any], pods: Sequence[Any] = ()) -> ReplicaSetSeen:
    meta, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    annotations = meta.get("annotations") or {}
    template, template_hash = without_hash(spec["template"])
    revision = str(annotations.get(REVISION, ""))
    images = _images(template)
    failures = [
        told(one.get("message"), images)
        for one in status.get("conditions") or ()
        if one["type"] == "ReplicaFailure" and one["status"] == "True"
    ]
    named = [one["name"] for one in (template.get("spec") or {}).get("containers") or ()]
    owned = [_with_injected_last(pod(one), named) for one in owned_by(pods, meta["uid"])]
    return ReplicaSetSeen(
        name=meta["name"],
        uid=meta["uid"],
        revision=int(revision) if revision.isdigit() else 0,
        template=template,
        template_hash=template_hash,
        labels=dict(meta.get("labels") or {}),
        desired=spec.get("replicas", 0),
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        created_at=milliseconds(meta.get("creationTimestamp")),
        change_cause=told(annotations.get(CHANGE_CAUSE), images),
        pods=tuple(sorted(owned, key=lambda one: (one.created_at, one.name))),
        failure=failures[0] if failures else "",
    )


def _images(template: Mapping[str, Any]) -> list[str]:
    spec = template.get("spec") or {}
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return [one.get("image", "") for one in containers]


def _with_injected_last(found: PodSeen, named: Sequence[str]) -> PodSeen:
    """The template's containers first: a proxy that admission puts before them is not the app."""
    ordered = sorted(found.containers, key=lambda one: not one.init and one.name not in named)
    containers = tuple(ordered)
    return found if containers == found.containers else replace(found, containers=containers)


def without_hash(template: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A ReplicaSet's template as the Deployment had it, and the hash label that the controller
    added."""
    meta = dict(template.get("metadata") or {})
    labels = dict(meta.get("labels") or {})
    template_hash = labels.pop(HASH_LABEL, "")
    meta["labels"] = labels
    return {**template, "metadata": meta}, template_hash


def told(message: object, images: Iterable[str] = ()) -> str:
    """What a kubelet, a controller or a container said, without secrets and of a bounded length;
    its end stays, for there a chain of errors has its reason. It may name these images."""
    text = message if isinstance(message, str) else ""
    if len(text) > _MOST_SAID:
        text = f"{bounded(text, _MOST_SAID // 2)} {text[-_MOST_SAID // 2 :].partition(' ')[2]}"
    return redact(text, images=images) if text else ""


def pod(item: Mapping[str, Any]) -> PodSeen:
    meta, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready") or {}
    scheduled = conditions.get("PodScheduled") or {}
    unschedulable = (
        scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    )
    is_ready = ready.get("status") == "True"
    return PodSeen(
        name=meta["name"],
        uid=meta["uid"],
        labels=dict(meta.get("labels") or {}),
        node=spec.get("nodeName", ""),
        ip=status.get("podIP", ""),
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=told(status.get("message")),
        ready=is_ready,
        ready_since=milliseconds(ready.get("lastTransitionTime")) if is_ready else 0,
        created_at=milliseconds(meta.get("creationTimestamp")),
        accepted_at=milliseconds(status.get("startTime")),
        has_sandbox=(conditions.get("PodReadyToStartContainers") or {}).get("status") == "True",
        terminating="deletionTimestamp" in meta,
        unschedulable=told(scheduled.get("message")) or "Unschedulable" if unschedulable else "",
        containers=(
            *_containers(
                spec.get("initContainers"), status.get("initContainerStatuses"), init=True
            ),
            *_containers(spec.get("containers"), status.get("containerStatuses"), init=False),
        ),
    )


def _containers(
    specs: Sequence[Any] | None, statuses: Sequence[Any] | None, *, init: bool
) -> Iterator[ContainerSeen]:
    by_name = {status["name"]: status for status in statuses or ()}
    for spec in specs or ():
        status = by_name.get(spec["name"]) or {}
        state, last = status.get("state") or {}, status.get("lastState") or {}
        waiting = state.get("waiting") or {}
        running = state.get("running") or {}
        terminated = last.get("terminated") or state.get("terminated") or {}
        newest_run = running or state.get("terminated") or last.get("terminated") or {}
        images = (spec.get("image", ""),)
        yield ContainerSeen(
            name=spec["name"],
            image=images[0],
            image_id=status.get("imageID", ""),
            ready=bool(status.get("ready")),
            restarts=status.get("restartCount", 0),
            waiting=waiting.get("reason", ""),
            message=told(waiting.get("message") or terminated.get("message"), images),
            ended_message=told(terminated.get("message")),
            running_since=milliseconds(running.get("startedAt")),
            last_started_at=milliseconds(newest_run.get("startedAt")),
            last_terminated=terminated.get("reason", ""),
            exit_code=terminated.get("exitCode"),
            last_terminated_at=milliseconds(terminated.get("finishedAt")),
            init=init,
        )


def service(item: Mapping[str, Any]) -> ServiceSeen:
    meta, spec = item["metadata"], item["spec"]
    return ServiceSeen(
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        selector=dict(spec.get("selector") or {}),
        affinity={
            "sessionAffinity": spec.get("sessionAffinity", "None"),
            "sessionAffinityConfig": spec.get("sessionAffinityConfig"),
        },
        type=spec.get("type", "ClusterIP"),
        cluster_ip=spec.get("clusterIP", ""),
        ports=spec.get("ports") or [],
        annotations=dict(meta.get("annotations") or {}),
        labels=dict(meta.get("labels") or {}),
        managers=managers(item),
        written_at=written_at(item),
        traffic_distribution=spec.get("trafficDistribution", ""),
        internal_traffic_policy=spec.get("internalTrafficPolicy", ""),
        external_traffic_policy=spec.get("externalTrafficPolicy", ""),
        publishes_not_ready=bool(spec.get("publishNotReadyAddresses")),
    )


def endpoints(slices: Iterable[Mapping[str, Any]]) -> tuple[EndpointSeen, ...]:
    """Every address once per Service: a pod may be in several slices while they are rewritten.

    ``ready`` unset means ready (discovery/v1: EndpointConditions).
    """
    found: dict[tuple[str, str], EndpointSeen] = {}
    for one in slices:
        name = (one["metadata"].get("labels") or {}).get(SERVICE_NAME, "")
        for endpoint in one.get("endpoints") or ():
            conditions, reference = (
                endpoint.get("conditions") or {},
                endpoint.get("targetRef") or {},
            )
            of_pod = reference.get("kind") == "Pod"
            for address in endpoint.get("addresses") or ():
                seen = EndpointSeen(
                    service=name,
                    address=address,
                    pod=reference.get("name", "") if of_pod else "",
                    pod_uid=reference.get("uid", "") if of_pod else "",
                    ready=conditions.get("ready") is not False,
                    terminating=bool(conditions.get("terminating")),
                    serving=conditions.get("serving", conditions.get("ready")) is not False,
                )
                earlier = found.get((name, address))
                if earlier is None or seen.ready:
                    found[name, address] = seen
    return tuple(found.values())


def autoscaler(item: Mapping[str, Any]) -> AutoscalerSeen:
    spec = item["spec"]
    target = spec.get("scaleTargetRef") or {}
    name = target.get("name", "") if target.get("kind") == "Deployment" else ""
    meta = item["metadata"]
    return AutoscalerSeen(
        name=meta["name"],
        target=name,
        min_replicas=spec.get("minReplicas", 1),
        max_replicas=spec["maxReplicas"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        annotations=dict(meta.get("annotations") or {}),
        managers=managers(item),
        written_at=written_at(item),
    )


def budget(item: Mapping[str, Any]) -> BudgetSeen:
    spec = item["spec"]
    return BudgetSeen(
        name=item["metadata"]["name"],
        selector=spec.get("selector") or {},
    )


def quota(item: Mapping[str, Any]) -> QuotaSeen:
    status = item.get("status") or {}
    spec = item["spec"]
    hard = status.get("hard") or spec.get("hard") or {}
    rules = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    scopes = (
        *map(QuotaScope, spec.get("scopes") or ()),
        *(
            QuotaScope(rule["scopeName"], rule["operator"], tuple(rule.get("values") or ()))
            for rule in rules
        ),
    )
    return QuotaSeen(item["metadata"]["name"], dict(hard), dict(status.get("used") or {}), scopes)
