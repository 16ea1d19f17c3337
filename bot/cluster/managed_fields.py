"""Who wrote which field: managedFields read, and their paths followed. Pure.

A path is a tuple of structured-merge-diff's segments: ``f:name`` a field, ``k:{"name":"x"}`` a
list's item by its keys, ``v:…`` a set's member, ``i:…`` an index. A leaf is a path that nothing
lies below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Path = tuple[str, ...]
Managers = tuple[tuple[str, str, str, str], ...]


def entries(item: Mapping[str, Any] | None) -> list[Any]:
    """The entries of an object that are not about its status, which nobody sets on purpose."""
    found = [] if item is None else item["metadata"].get("managedFields") or []
    return [one for one in found if one.get("subresource") != "status"]


def leaves(fields: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    inner = [(key, value) for key, value in fields.items() if key != "."]
    if not inner and path:
        yield path
    for key, value in inner:
        yield from leaves(value, (*path, key))


def managers(item: Mapping[str, Any]) -> Managers:
    """(manager, operation, subresource, ``spec.template.spec.containers[name=hello].image``) for
    each leaf."""
    return tuple(
        (
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("subresource", ""),
            dotted(path),
        )
        for entry in entries(item)
        for path in leaves(entry.get("fieldsV1") or {})
        if path[0] != "f:status"
    )


def dotted(path: Path) -> str:
    text = ""
    for segment in path:
        kind, _, rest = segment.partition(":")
        match kind:
            case "f":
                text += f".{rest}" if text else rest
            case "k":
                text += (
                    "["
                    + ",".join(f"{key}={value}" for key, value in json.loads(rest).items())
                    + "]"
                )
            case _:
                text += "[" + rest.strip('"') + "]"
    return text


def value_at(value: Any, path: Path) -> Any:
    """What the path leads to, None for nothing."""
    for segment in path:
        kind, _, rest = segment.partition(":")
        match kind:
            case "f":
                value = value.get(rest) if isinstance(value, Mapping) else None
            case "k":
                value = next(iter(_keyed(value, json.loads(rest))), None)
            case "v":
                wanted = json.loads(rest)
                value = wanted if isinstance(value, list) and wanted in value else None
            case _:
                index = int(rest)
                value = value[index] if isinstance(value, list) and index < len(value) else None
    return value


def remove_at(value: Any, path: Path) -> None:
    """Take one leaf out, and what on the way to it is left with nothing but its key."""
    segment, rest = path[0], path[1:]
    kind, _, text = segment.partition(":")
    if kind == "f" and isinstance(value, dict) and text in value:
        if rest:
            remove_at(value[text], rest)
        if not rest or value[text] in ({}, []):
            del value[text]
    elif kind == "k" and isinstance(value, list):
        keys = json.loads(text)
        for item in _keyed(value, keys):
            # The key goes with the item when nothing else of the item is left.
            if rest and rest[0].removeprefix("f:") not in keys:
                remove_at(item, rest)
            if not set(item) - set(keys):
                value.remove(item)


def _keyed(value: Any, keys: Mapping[str, Any]) -> list[Any]:
    if not isinstance(value, list):
        return []
    return [
        one
        for one in value
        if isinstance(one, dict) and all(one.get(key) == found for key, found in keys.items())
    ]


def writer_of(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    within: Sequence[str],
    *,
    sparse: bool = False,
) -> tuple[str, str]:
    """(manager, subresource) that made the difference between two states of an object; ("", "") if
    unknown.

    ``within``: fields of the spec. ``sparse``: ``before`` holds some of the fields, and one that it
    lacks tells nothing while another tells more. A changed field belongs to its last writer. A
    removed field has no owner: its previous owner is named, since we remove only our own fields and
    others seldom remove any.
    """
    roots = tuple(("f:spec", f"f:{one}") for one in within)
    writers = _writers(before, after, roots, ignore_new=True) if sparse else []
    writers = writers or _writers(before, after, roots)
    if not writers:
        writers = [
            one
            for one in entries(before)
            if any(value_at(after, path) is None for path in _below(one, roots))
        ]
    if not writers:
        return "", ""
    latest = max(writers, key=lambda one: str(one.get("time", "")))
    return str(latest.get("manager", "")), str(latest.get("subresource", ""))


def _writers(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    roots: Sequence[Path],
    *,
    ignore_new: bool = False,
) -> list[Any]:
    return [
        one
        for one in entries(after)
        if any(
            _changed(path, before, after) and not (ignore_new and value_at(before, path) is None)
            for path in _below(one, roots)
        )
    ]


def _below(entry: Mapping[str, Any], roots: Sequence[Path]) -> Iterator[Path]:
    for path in leaves(entry.get("fieldsV1") or {}):
        if not roots or path[:2] in roots:
            yield path


def _changed(path: Path, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    return before is None or value_at(before, path) != value_at(after, path)
