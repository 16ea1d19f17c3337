"""Which changes cannot wait: those that may complete or break what a release waits for. The others,
a pod on its ordinary way up or down, only move the card.

A guess, of one watch's events alone. A wrong one costs a second, never a change: the tick reads the
truth. What is not known yet is urgent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class _Deployment:
    spec: Any
    spec_generation: int  # of the last change of the spec; annotations raise it too
    settled: bool
    pods: int
    available: int
    failing: frozenset[tuple[str, str]]
    terminating: bool


@dataclass(frozen=True)
class _Pod:
    deployment: str
    ready: bool
    trouble: tuple[object, ...]
    leaving: bool


class Urgency:
    """Of the objects of one namespace, shared by the threads that watch them: single operations of
    a dict are atomic, and each kind has one thread."""

    def __init__(self) -> None:
        self._deployments: dict[str, _Deployment] = {}
        self._pods: dict[str, _Pod] = {}
        self._ready: dict[str, frozenset[str]] = {}

    def is_urgent(self, resource: str, item: Json, *, deployment: str, deleted: bool) -> bool:
        """Also remembers the object as it is now. ``deployment``: whose it is; "" unknown."""
        match resource:
            case "deployments":
                return self._of_deployment(item, deleted=deleted)
            case "replicasets":
                return False  # their Deployment's status repeats what matters
            case "pods":
                return self._of_pod(item, deployment, deleted=deleted)
            case "endpointslices":
                return self._of_slice(item, deleted=deleted)
            case _:
                return True

    def _of_deployment(self, item: Json, *, deleted: bool) -> bool:
        name = item["metadata"]["name"]
        before = self._deployments.pop(name, None)
        if deleted:
            return True
        now = self._deployments[name] = _deployment(item, before)
        if before is None:
            return False  # one that something else created is reported as an outside change
        settles = now.settled and not before.settled and bool(now.pods or before.pods)
        loses = before.settled and not now.settled and now.available < before.available
        broken = (before.failing, before.terminating) != (now.failing, now.terminating)
        return settles or loses or broken

    def _of_pod(self, item: Json, deployment: str, *, deleted: bool) -> bool:
        uid = item["metadata"]["uid"]
        before = self._pods.pop(uid, None)
        now = _pod(item, deployment)
        if not deleted:
            self._pods[uid] = now
        if before is None:
            return bool(now.trouble)
        if deleted or now.leaving:
            return not before.leaving and not self._has_others(deployment)
        return before.trouble != now.trouble or (before.ready and not now.ready)

    def _has_others(self, deployment: str) -> bool:
        """Whether a pod of the Deployment stays."""
        pods = tuple(self._pods.values())
        return any(pod.deployment == deployment and not pod.leaving for pod in pods)

    def _of_slice(self, item: Json, *, deleted: bool) -> bool:
        uid = item["metadata"]["uid"]
        before = self._ready.pop(uid, None)
        ready = frozenset() if deleted else frozenset(_ready_pods(item))
        if not deleted:
            self._ready[uid] = ready
        if before is None or ready == before:
            return before is None
        if not before or not ready:
            return True
        pods = (self._pods.get(pod) for pod in ready)
        return all(pod is None or self._is_settled(pod.deployment) for pod in pods)

    def _is_settled(self, deployment: str) -> bool:
        known = self._deployments.get(deployment)
        return known is None or known.settled


def _deployment(item: Json, before: _Deployment | None) -> _Deployment:
    meta, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    generation = meta.get("generation", 0)
    changed = before is None or before.spec != spec
    since = generation if changed or before is None else before.spec_generation
    replicas, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    return _Deployment(
        spec=spec,
        spec_generation=since,
        settled=status.get("observedGeneration", 0) >= since
        and updated >= spec.get("replicas", 1)
        and replicas <= updated <= available,
        pods=replicas,
        available=available,
        failing=frozenset(
            (one["type"], one.get("reason", ""))
            for one in status.get("conditions") or ()
            if (one["type"], one["status"])
            in (("ReplicaFailure", "True"), ("Progressing", "False"))
        ),
        terminating="deletionTimestamp" in meta,
    )


def _pod(item: Json, deployment: str) -> _Pod:
    status = item.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    phase = status.get("phase", "")
    return _Pod(
        deployment=deployment,
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        trouble=(
            *_troubles(status),
            *(("unschedulable",) if scheduled.get("reason") == "Unschedulable" else ()),
            *((phase, status.get("reason", "")) if phase == "Failed" else ()),
        ),
        leaving="deletionTimestamp" in item["metadata"] or phase in ("Succeeded", "Failed"),
    )


def _troubles(status: Json) -> Iterator[object]:
    for key in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(key) or ():
            state = one.get("state") or {}
            waiting = (state.get("waiting") or {}).get("reason", "")
            ended = (state.get("terminated") or {}).get("exitCode", 0)
            if one.get("restartCount") or ended or waiting not in ("", *_ON_ITS_WAY):
                yield one["name"], waiting, one.get("restartCount", 0), ended


def _ready_pods(item: Json) -> Iterator[str]:
    for one in item.get("endpoints") or ():
        conditions = one.get("conditions") or {}
        if conditions.get("ready") is not False and not conditions.get("terminating"):
            yield str((one.get("targetRef") or {}).get("uid") or one.get("addresses"))
