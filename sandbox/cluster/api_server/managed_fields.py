"""metadata.managedFields: who owns which field (apimachinery managedfields, structured-merge-diff merge.Updater)."""

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
    value_at,
    without_fields,
)
from sandbox.cluster.api_server.schemas import SchemaType
from sandbox.cluster.objects import Json


@dataclass(frozen=True)
class ManagerKey:
    """What makes two entries the same manager's."""

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
    time: str


class ApplyConflicts(Exception):
    def __init__(self, conflicts: list[ApplyConflict]) -> None:
        super().__init__("apply conflicts")
        self.conflicts = conflicts


def decode_entries(obj: Json) -> list[Entry]:
    entries = []
    for item in obj["metadata"].get("managedFields") or ():
        key = ManagerKey(
            item.get("manager", ""), item.get("operation", ""), item.get("subresource", ""), item.get("apiVersion", "")
        )
        entries.append(Entry(key, item.get("time", ""), from_fields_v1(item.get("fieldsV1") or {})))
    return entries


def encode_entries(entries: list[Entry]) -> list[Json]:
    """Applied entries first, then by time, as the API server sorts them."""
    ordered = sorted(
        (entry for entry in entries if entry.fields),
        key=lambda entry: (entry.key.operation != "Apply", entry.time, entry.key.manager, entry.key.subresource),
    )
    encoded = []
    for entry in ordered:
        item: Json = {
            "manager": entry.key.manager,
            "operation": entry.key.operation,
            "apiVersion": entry.key.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(entry.fields),
        }
        if entry.key.subresource:
            item["subresource"] = entry.key.subresource
        encoded.append(item)
    return encoded


def record_update(before: Json | None, after: Json, schema: SchemaType, manager: ManagerKey, now: str) -> None:
    """Sets after's managedFields for an update: the manager gains what it changed, all others lose it."""
    entries = decode_entries(before) if before is not None else []
    wiped = "managedFields" in after["metadata"] and after["metadata"]["managedFields"] in ([], [{}])
    if before is None:
        changed, removed = fields_of(after, schema), frozenset[Path]()
    else:
        changed, removed = changed_fields(before, after, schema)
    if wiped:
        after["metadata"].pop("managedFields", None)
        return
    gained = frozenset(path for path in changed if manager.subresource == "status" or path[0] != "f:status")
    if before is not None and not changed and not removed:
        _write(after, entries)
        return
    entries = _taken_away(entries, gained | removed, manager)
    mine = next((entry for entry in entries if entry.key == manager), None)
    if mine is None and gained:
        entries.append(Entry(manager, now, gained))
    elif mine is not None:
        fields = (mine.fields - removed) | gained
        if fields != mine.fields:
            entries[entries.index(mine)] = replace(mine, fields=fields, time=now)
    _write(after, entries)


def _taken_away(entries: list[Entry], fields: FieldSet, manager: ManagerKey) -> list[Entry]:
    kept = []
    for entry in entries:
        if entry.key == manager or not entry.fields & fields:
            kept.append(entry)
        else:
            kept.append(replace(entry, fields=entry.fields - fields))
    return kept


def _write(obj: Json, entries: list[Entry]) -> None:
    encoded = encode_entries(entries)
    if encoded:
        obj["metadata"]["managedFields"] = encoded
    else:
        obj["metadata"].pop("managedFields", None)


@dataclass(frozen=True)
class Applied:
    """The object that an apply makes; `entries` are to be written once defaults are filled in."""

    merged: Json
    entries: list[Entry]


def apply_configuration(live: Json, config: Json, schema: SchemaType, manager: ManagerKey, now: str) -> Applied:
    """Server-side apply without regard to conflicts: merge, then prune what the manager no longer applies."""
    entries = decode_entries(live)
    applied = frozenset(
        path
        for path in fields_of(config, schema)
        if manager.subresource == "status" or path[0] != "f:status"
    )
    last = next((entry for entry in entries if entry.key == manager), None)
    merged = merge_applied(live, config, schema)
    if last is not None:
        merged = _pruned(merged, schema, last.fields - applied, applied, [e for e in entries if e is not last])
    if last is None:
        entries.append(Entry(manager, now, applied))
    elif last.fields != applied:
        entries[entries.index(last)] = replace(last, fields=applied, time=now)
    return Applied(merged, entries)


def _pruned(
    merged: Json, schema: SchemaType, dropped: FieldSet, applied: FieldSet, others: list[Entry]
) -> Json:
    """Removes fields that only this manager owned (merge.Updater prune)."""
    owned_elsewhere: set[Path] = set()
    for fields in [applied, *(entry.fields for entry in others)]:
        for path in fields:
            owned_elsewhere.update(path[:depth] for depth in range(1, len(path) + 1))
    return without_fields(merged, schema, frozenset(path for path in dropped if path not in owned_elsewhere))


def settle_apply(
    live: Json, after: Json, applied: Applied, schema: SchemaType, manager: ManagerKey, *, force: bool
) -> None:
    """Finds conflicts, or with force takes the fields over, and writes managedFields into `after`."""
    changed, removed = changed_fields(live, after, schema)
    mine = next((entry.fields for entry in applied.entries if entry.key == manager), frozenset[Path]())
    touched = changed & mine
    conflicts = []
    entries = []
    for entry in applied.entries:
        lost = entry.fields & touched if entry.key != manager else frozenset[Path]()
        if lost and not force:
            conflicts += [ApplyConflict(entry.key, path, entry.time) for path in sorted(lost) if _is_leaf(path, lost)]
        gone = lost | (removed if entry.key != manager else frozenset())
        entries.append(replace(entry, fields=entry.fields - gone) if gone & entry.fields else entry)
    if conflicts:
        raise ApplyConflicts(conflicts)
    _write(after, entries)


def _is_leaf(path: Path, fields: FieldSet) -> bool:
    return bool(path) and path in fields


def path_text(path: Path) -> str:
    """A path as conflicts spell it: .spec.template.spec.containers[name="hello"].image"""
    import orjson

    text = ""
    for element in path:
        kind, _, body = element.partition(":")
        if kind == "f":
            text += f".{body}"
        elif kind == "k":
            keys = orjson.loads(body)
            text += "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]"
        else:
            text += f"[={body}]"
    return text


def owner_text(owner: ManagerKey, time: str) -> str:
    """How a conflict names the other manager."""
    import orjson

    quoted = orjson.dumps(owner.manager).decode()
    if owner.operation == "Apply":
        return f"{quoted}"
    where = f' with subresource "{owner.subresource}"' if owner.subresource else ""
    at = f" at {time}" if time else ""
    return f"{quoted}{where} using {owner.api_version}{at}"


__all__ = [
    "ApplyConflicts",
    "ManagerKey",
    "apply_configuration",
    "owner_text",
    "path_text",
    "record_update",
    "settle_apply",
    "value_at",
]
