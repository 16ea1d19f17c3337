"""The arithmetic of a rolling update (Kubernetes deployment/util): surge, unavailability,
proportions. Pure."""

from __future__ import annotations

import math
from typing import Any

from sandbox.cluster.objects import Json, annotations_of, copy_json, semantically_equal

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
HASH_LABEL = "pod-template-hash"
NOT_COPIED = frozenset(
    {
        LAST_APPLIED,
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    }
)
_MAX_INT32 = 2147483647


def scaled_value(value: Any, total: int, *, round_up: bool) -> int:
    """intstr.GetScaledValueFromIntOrPercent."""
    if isinstance(value, str):
        share = int(value.rstrip("%")) * total / 100
        return math.ceil(share) if round_up else math.floor(share)
    return int(value)


def resolve_fenceposts(surge: Any, unavailable: Any, replicas: int) -> tuple[int, int]:
    """(surge, unavailable) in pods; unavailable becomes 1 when both are zero, or the roll would
    never move."""
    most = scaled_value(surge or 0, replicas, round_up=True)
    missing = scaled_value(unavailable or 0, replicas, round_up=False)
    if most == 0 and missing == 0:
        missing = 1
    return most, missing


def replicas_of(obj: Json) -> int:
    return int(obj["spec"].get("replicas", 1))


def is_rolling(deployment: Json) -> bool:
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def max_surge(deployment: Json) -> int:
    if not is_rolling(deployment):
        return 0
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    return resolve_fenceposts(
        rolling.get("maxSurge"), rolling.get("maxUnavailable"), replicas_of(deployment)
    )[0]


def max_unavailable(deployment: Json) -> int:
    replicas = replicas_of(deployment)
    if not is_rolling(deployment) or replicas == 0:
        return 0
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    return min(
        replicas,
        resolve_fenceposts(rolling.get("maxSurge"), rolling.get("maxUnavailable"), replicas)[1],
    )


def equal_ignoring_hash(left: Json, right: Json) -> bool:
    """EqualIgnoreHash: two pod templates without pod-template-hash."""
    return semantically_equal(without_hash(left), without_hash(right))


def without_hash(template: Json) -> Json:
    labels = (template.get("metadata") or {}).get("labels") or {}
    if HASH_LABEL not in labels:
        return template
    copied: Json = copy_json(template)
    del copied["metadata"]["labels"][HASH_LABEL]
    return copied


def total_replicas(sets: list[Json]) -> int:
    return sum(map(replicas_of, sets))


def total_status(sets: list[Json], field: str) -> int:
    return sum(int(item.get("status", {}).get(field, 0)) for item in sets)


def new_set_replicas(deployment: Json, sets: list[Json], new: Json) -> int:
    """NewRSNewReplicas: the replicas that the new ReplicaSet may have now."""
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    surge = scaled_value(rolling.get("maxSurge") or 0, wanted, round_up=True)
    present = total_replicas(sets)
    if present >= wanted + surge:
        return replicas_of(new)
    room = min(wanted + surge - present, wanted - replicas_of(new))
    return replicas_of(new) + room


def proportion(item: Json, deployment: Json, to_add: int, added: int) -> int:
    """GetReplicaSetProportion: this ReplicaSet's share of replicas to add (or, negative, to
    remove)."""
    if replicas_of(item) == 0 or to_add == 0 or to_add == added:
        return 0
    fraction = _fraction(item, deployment)
    allowed = to_add - added
    return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)


def _fraction(item: Json, deployment: Json) -> int:
    if replicas_of(deployment) == 0:
        return -replicas_of(item)
    before = annotations_of(item).get(MAX_REPLICAS, "")
    base = (
        int(before)
        if before.isdigit() and int(before)
        else int(deployment.get("status", {}).get("replicas", 0))
    )
    if base == 0:
        return 0
    size = replicas_of(item) * (replicas_of(deployment) + max_surge(deployment)) / base
    rounded = math.floor(size + 0.5) if size >= 0 else math.ceil(size - 0.5)
    return rounded - replicas_of(item)


def revision_of(obj: Json) -> int:
    text = annotations_of(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def is_saturated(deployment: Json, item: Json | None) -> bool:
    if item is None or not annotations_of(item).get(DESIRED_REPLICAS, "").isdigit():
        return False
    wanted = replicas_of(deployment)
    return (
        replicas_of(item) == wanted
        and int(annotations_of(item)[DESIRED_REPLICAS]) == wanted
        and int(item.get("status", {}).get("availableReplicas", 0)) == wanted
    )


def is_complete(deployment: Json, status: Json) -> bool:
    """DeploymentComplete."""
    wanted = replicas_of(deployment)
    return bool(
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    )


def has_progressed(before: Json, after: Json) -> bool:
    """DeploymentProgressing."""

    def old(status: Json) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    return (
        after.get("updatedReplicas", 0) > before.get("updatedReplicas", 0)
        or old(after) < old(before)
        or after.get("readyReplicas", 0) > before.get("readyReplicas", 0)
        or after.get("availableReplicas", 0) > before.get("availableReplicas", 0)
    )


def has_deadline(deployment: Json) -> bool:
    return bool(deployment["spec"].get("progressDeadlineSeconds", _MAX_INT32) != _MAX_INT32)


def has_history_limit(deployment: Json) -> bool:
    return bool(deployment["spec"].get("revisionHistoryLimit", _MAX_INT32) != _MAX_INT32)
