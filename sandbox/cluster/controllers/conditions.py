"""Conditions of Deployments and ReplicaSets, with the rules about their two times
(deployment/util). Pure."""

from __future__ import annotations

from sandbox.cluster.objects import Json, find_condition

PROGRESSING = "Progressing"
AVAILABLE = "Available"
REPLICA_FAILURE = "ReplicaFailure"

NEW_SET_CREATED = "NewReplicaSetCreated"
FOUND_NEW_SET = "FoundNewReplicaSet"
SET_UPDATED = "ReplicaSetUpdated"
NEW_SET_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"


def new_condition(kind: str, status: str, reason: str, message: str, now: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def set_condition(status: Json, condition: Json) -> bool:
    """SetDeploymentCondition: does nothing when status and reason are the same. True when it was
    set."""
    conditions: list[Json] = status.get("conditions") or []
    present = find_condition(conditions, condition["type"])
    if present is not None and present["status"] == condition["status"]:
        if present.get("reason") == condition["reason"]:
            return False
        condition = {**condition, "lastTransitionTime": present["lastTransitionTime"]}
    status["conditions"] = [item for item in conditions if item["type"] != condition["type"]] + [
        condition
    ]
    return True


def remove_condition(status: Json, kind: str) -> None:
    kept = [item for item in status.get("conditions") or [] if item["type"] != kind]
    if kept:
        status["conditions"] = kept
    else:
        status.pop("conditions", None)
