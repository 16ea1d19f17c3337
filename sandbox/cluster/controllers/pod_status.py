"""Pieces of a pod's status as the kubelet writes them. Pure."""

from __future__ import annotations

import hashlib

from sandbox.cluster.controllers.images import full_reference
from sandbox.cluster.objects import Json, find_condition


def container_status(container: Json, state: Json, *, ready: bool, started: bool) -> Json:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": ready,
        "started": started,
        "restartCount": 0,
        "state": state,
        "lastState": {},
    }


def image_id(image: str) -> str:
    repository = full_reference(image).partition("@")[0].rpartition(":")[0]
    if "@" in image:
        return f"{repository}@{image.partition('@')[2]}"
    return f"{repository}@sha256:{hashlib.sha256(full_reference(image).encode()).hexdigest()}"


def container_id(pod_uid: str, name: str, restarts: int) -> str:
    return "containerd://" + hashlib.sha256(f"{pod_uid}{name}{restarts}".encode()).hexdigest()


def set_pod_conditions(status: Json, names: list[str], now: str) -> None:
    """Ready, ContainersReady and the rest from the container statuses
    (status.GeneratePodReadyCondition)."""
    statuses = status.get("containerStatuses") or []
    unready = [item["name"] for item in statuses if not item["ready"]] if statuses else names
    present = status.get("conditions") or []
    fresh: list[Json] = []
    sandbox_ready = any(
        "running" in item["state"] or "terminated" in item["state"] or item["restartCount"]
        for item in statuses
    )
    _put(fresh, present, "PodReadyToStartContainers", sandbox_ready, "", "", now)
    _put(fresh, present, "Initialized", True, "", "", now)
    message = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
    reason = "ContainersNotReady" if unready else ""
    _put(fresh, present, "Ready", not unready, reason, message, now)
    _put(fresh, present, "ContainersReady", not unready, reason, message, now)
    scheduled = find_condition(present, "PodScheduled")
    if scheduled is not None:
        fresh.append(scheduled)
    status["conditions"] = fresh


def _put(
    fresh: list[Json],
    present: list[Json],
    kind: str,
    holds: bool,
    reason: str,
    message: str,
    now: str,
) -> None:
    value = "True" if holds else "False"
    old = find_condition(present, kind)
    since = old["lastTransitionTime"] if old is not None and old["status"] == value else now
    condition: Json = {
        "type": kind,
        "status": value,
        "lastProbeTime": None,
        "lastTransitionTime": since,
    }
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    fresh.append(condition)


def set_waiting(status: Json, reason: str, message: str) -> None:
    waiting = {"reason": reason}
    if message:
        waiting["message"] = message
    status["ready"] = False
    status["started"] = False
    status["state"] = {"waiting": waiting}


def set_running(status: Json, now: str, *, ready: bool) -> None:
    status["ready"] = ready
    status["started"] = True
    status["state"] = {"running": {"startedAt": now}}


def ended(exit_code: int, reason: str, started: str, now: str, identity: str) -> Json:
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": started,
            "finishedAt": now,
            "containerID": identity,
        }
    }
