"""metadata.managedFields: who owns which field (apimachinery managedfields, structured-merge-diff
merge.Updater)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.cluster.api_server.field_sets import (
    FieldSet,
    Path,
    changed_fields,
    fields_of,
    from_fields_v1,
    merge_applied,
    to_fields_v1,
    without_fields,
)
from sandbox.cluster.api_server.schemas import SchemaType
from sandbox.cluster.objects import Json

# Go's output for an empty object of the kind: structs that are not pointers are
# present, so that creating the object makes nobody their owner.
_EMPTY_TEMPLATE: Json = {"metadata": {}, "spec": {"containers": None}}
EMPTY_OBJECTS: dict[str, Json] = {
    "Deployment": {
        "spec": {"selector": None, "template": _EMPTY_TEMPLATE, "strategy": {}},
        "status": {},
    },
    "ReplicaSet": {
        "spec": {"selector": None, "template": _EMPTY_TEMPLATE},
        "status": {"replicas": 0},
    },
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "Namespace": {"spec": {}, "status": {}},
    "Node": {
        "spec": {},
        "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}},
    },
    "ResourceQuota": {"spec": {}, "status": {}},
    "PersistentVolumeClaim": {"spec": {"resources": {}}, "status": {}},
    "HorizontalPodAutoscaler": {
        "spec": {"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0},
        "status": {"desiredReplicas": 0, "currentMetrics": None},
    },
    "PodDisruptionBudget": {
        "spec": {},
        "status": {
            "disruptionsAllowed": 0,
            "currentHealthy": 0,
            "desiredHealthy": 0,
            "expectedPods": 0,
        },
    },
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
    "Event": {
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
    "Role": {"rules": None},
    "ClusterRole": {"rules": None},
    "RoleBinding": {"roleRef": {"apiGroup": "", "kind": "", "name": ""}},
    "ClusterRoleBinding": {"roleRef": {"apiGroup": "", "kind": "", "name": ""}},
    "Lease": {"spec": {}},
    "CustomResourceDefinition": {
        "spec": {"group": "", "names": {"plural": "", "kind": ""}, "scope": "", "versions": None},
        "status": {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": None,
        },
    },
}


def empty_object(api_version: str, kind: str) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": {}, **EMPTY_OBJECTS.get(kind, {})}


@dataclass(frozen=True)
class ManagerKey:
    """The identity of a managedFields entry: two entries with equal keys are one manager's."""

    manager: str
    operation: str
    subresource: str
    api_version: str


@dataclass(frozen=True)
class Entry:
    key: ManagerKey
    time: str
    fields: FieldSet


@dataclass(frozen=True)
class ApplyConflict:
    """A field that another manager owns with another value."""

    owner: ManagerKey
    path: Path


class ApplyConflicts(Exception):
    def __init__(self, conflicts: list[ApplyConflict]) -> None:
        super().__init__("apply conflicts")
        self.conflicts = conflicts


def decode_entries(obj: Json) -> list[Entry]:
    entries = []
    for item in obj["metadata"].get("managedFields") or ():
        key = ManagerKey(
            item.get("manager", ""),
            item.get("operation", ""),
            item.get("subresource", ""),
            item.get("apiVersion", ""),
        )
        entries.append(Entry(key, item.get("time", ""), from_fields_v1(item.get("fieldsV1") or {})))
    return entries


def encode_entries(entries: list[Entry]) -> list[Json]:
    """Applied entries first, then by time, as the API server sorts them."""
    ordered = sorted(
        (entry for entry in entries if entry.fields),
        key=lambda entry: (
            entry.key.operation != "Apply",
            entry.time,
            entry.key.manager,
            entry.key.subresource,
        ),
    )
    encoded = []
    for entry in ordered:
        item: Json = {
            "manager": entry.key.manager,
            "operation": entry.key.operation,
            "apiVersion": entry.key.api_version,
        }
        if entry.time:
            item["time"] = entry.time
        item |= {"fieldsType": "FieldsV1", "fieldsV1": to_fields_v1(entry.fields)}
        if entry.key.subresource:
            item["subresource"] = entry.key.subresource
        encoded.append(item)
    return encoded


def record_update(
    before: Json,
    after: Json,
    schema: SchemaType,
    manager: ManagerKey,
    now: str,
    *,
    owns_status: bool,
) -> None:
    """Sets after's managedFields for an update: the manager gains its changes, all others lose
    them.

    For a creation `before` is the empty object of the kind (EMPTY_OBJECTS).
    """
    if "managedFields" in after["metadata"] and after["metadata"]["managedFields"] in ([], [{}]):
        entries: list[Entry] = []
    else:
        entries = decode_entries(after)
    changed, removed = changed_fields(before, after, schema)
    gained = frozenset(path for path in changed if owns_status or path[0] != "f:status")
    lost = gained | removed
    kept = [
        replace(entry, fields=entry.fields - lost) if entry.fields & lost else entry
        for entry in entries
    ]
    if gained:
        mine = next((entry for entry in kept if entry.key == manager), None)
        if mine is None:
            kept.append(Entry(manager, now, gained))
        else:
            kept[kept.index(mine)] = replace(mine, fields=mine.fields | gained, time=now)
    _write(after, kept)


def _write(obj: Json, entries: list[Entry]) -> None:
    encoded = encode_entries(entries)
    if encoded:
        obj["metadata"]["managedFields"] = encoded
    else:
        obj["metadata"].pop("managedFields", None)


def release_everywhere(obj: Json, path: Path) -> None:
    """Removes the path from every owner."""
    entries = decode_entries(obj)
    _write(obj, [replace(entry, fields=entry.fields - {path}) for entry in entries])


@dataclass(frozen=True)
class Applied:
    """The merged object, before defaults, and its managedFields as they are to be stored."""

    merged: Json
    managed: list[Json]


def apply_configuration(
    live: Json,
    config: Json,
    schema: SchemaType,
    manager: ManagerKey,
    now: str,
    *,
    force: bool,
    owns_status: bool,
) -> Applied:
    """Server-side apply (merge.Updater.Apply): merge, prune what is no longer applied, find
    conflicts or take over."""
    entries = decode_entries(live)
    applied = frozenset(
        path for path in fields_of(config, schema) if owns_status or path[0] != "f:status"
    )
    last = next((entry for entry in entries if entry.key == manager), None)
    others = [entry for entry in entries if entry is not last]
    merged = merge_applied(live, config, schema)
    if last is not None:
        merged = _pruned(merged, schema, last.fields - applied, applied, others)
    changed, removed = changed_fields(live, merged, schema)
    conflicts = []
    kept = []
    for entry in others:
        lost = entry.fields & changed
        if lost and not force:
            conflicts += [ApplyConflict(entry.key, path) for path in sorted(lost)]
        gone = lost | (entry.fields & removed)
        kept.append(replace(entry, fields=entry.fields - gone) if gone else entry)
    if conflicts:
        raise ApplyConflicts(conflicts)
    time = now if changed or removed else (last.time if last is not None else "")
    kept.append(Entry(manager, time, applied))
    return Applied(merged, encode_entries(kept))


def _pruned(
    merged: Json, schema: SchemaType, dropped: FieldSet, applied: FieldSet, others: list[Entry]
) -> Json:
    """Without fields that only this manager owned (merge.Updater prune)."""
    owned_elsewhere: set[Path] = set()
    for fields in [applied, *(entry.fields for entry in others)]:
        for path in fields:
            owned_elsewhere.update(path[:depth] for depth in range(1, len(path) + 1))
    gone = frozenset(path for path in dropped if path not in owned_elsewhere)
    # A list item is removed whole when its own path is: its other fields would be left
    # without a key.
    tops = frozenset(
        path for path in gone if not any(path[:depth] in gone for depth in range(1, len(path)))
    )
    return without_fields(merged, schema, tops)


def path_text(path: Path) -> str:
    """A path in the notation of conflicts: .spec.template.spec.containers[name="hello"].image"""
    import orjson

    text = ""
    for element in path:
        kind, _, body = element.partition(":")
        if kind == "f":
            text += f".{body}"
        elif kind == "k":
            keys = orjson.loads(body)
            text += (
                "["
                + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items())
                + "]"
            )
        else:
            text += f"[={body}]"
    return text


def owner_text(owner: ManagerKey) -> str:
    """The other manager, in the words of a conflict."""
    import orjson

    quoted = orjson.dumps(owner.manager).decode()
    if owner.operation == "Apply":
        return f"{quoted}"
    where = f' with subresource "{owner.subresource}"' if owner.subresource else ""
    return f"{quoted}{where} using {owner.api_version}"
