"""The rules of a deletion: preconditions, finalizers, and the grace period of a pod."""

from __future__ import annotations

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.callers import DeleteOptions
from sandbox.cluster.api_server.resources import NAMESPACES, PODS, Resource
from sandbox.cluster.objects import Json, is_terminating, timestamp

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def check_preconditions(resource: Resource, obj: Json, options: DeleteOptions) -> None:
    metadata = obj["metadata"]
    if options.uid and options.uid != metadata["uid"]:
        raise failures.kind_conflict(
            resource,
            metadata["name"],
            f"the UID in the precondition ({options.uid}) does not match the UID in record"
            f" ({metadata['uid']}). The object might have been deleted and then recreated",
        )
    if options.resource_version and options.resource_version != metadata["resourceVersion"]:
        raise failures.kind_conflict(
            resource,
            metadata["name"],
            f"the ResourceVersion in the precondition ({options.resource_version}) does not"
            f" match the ResourceVersion in record ({metadata['resourceVersion']})."
            " The object might have been modified",
        )


def finalizers_for(obj: Json, options: DeleteOptions) -> list[str]:
    """The finalizers that a deletion adds, by its propagation policy."""
    present = obj["metadata"].get("finalizers") or []
    finalizers = [item for item in present if item not in (FOREGROUND, ORPHAN)]
    match options.propagation:
        case "Foreground":
            finalizers.append(FOREGROUND)
        case "Orphan":
            finalizers.append(ORPHAN)
        case "":
            finalizers += [item for item in present if item in (FOREGROUND, ORPHAN)]
        case _:
            pass
    return finalizers


def grace_of(resource: Resource, obj: Json, options: DeleteOptions) -> int:
    """Seconds that the object stays after its deletion began; only pods have any."""
    if resource.key != PODS.key:
        return 0
    if not obj["spec"].get("nodeName") or obj.get("status", {}).get("phase") in (
        "Succeeded",
        "Failed",
    ):
        return 0
    if options.grace_period is not None:
        return max(0, options.grace_period)
    return int(obj["spec"].get("terminationGracePeriodSeconds", 30))


def may_go(resource: Resource, obj: Json) -> bool:
    """Whether a deleted object without finalizers may be removed now."""
    if resource.key == NAMESPACES.key:
        return not obj["spec"].get("finalizers")
    return resource.key != PODS.key or obj["metadata"].get("deletionGracePeriodSeconds", 0) == 0


def marked_for_deletion(before: Json, finalizers: list[str], grace: int, now: float) -> Json:
    """The object with its finalizers and the time at which it may be removed."""
    metadata = {**before["metadata"]}
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if not is_terminating(before) or grace < metadata.get("deletionGracePeriodSeconds", 0):
        metadata["deletionTimestamp"] = timestamp(now + grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if "generation" in metadata and not is_terminating(before):
            metadata["generation"] += 1
    return {**before, "metadata": metadata}
