"""Sets of field paths, and FieldsV1, their JSON form (structured-merge-diff fieldpath and typed).

A path is a tuple of elements as FieldsV1 spells them: `f:spec`, `k:{"name":"hello"}`,
`v:"finalizer"`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from sandbox.cluster.api_server.schemas import KEY_DEFAULTS, SchemaType
from sandbox.cluster.objects import Json, copy_json

Path = tuple[str, ...]
FieldSet = frozenset[Path]

# Fields without owners (apiserver managedfields stripMeta).
_UNOWNED: FieldSet = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
            )
        ),
    }
)


def fields_of(obj: Json, schema: SchemaType) -> FieldSet:
    """The fields that an object sets (typed.ToFieldSet), without those that nobody can own."""
    found: set[Path] = set()
    _collect(obj, schema, (), found)
    managed = ("f:metadata", "f:managedFields")
    return frozenset(path for path in found - _UNOWNED if path[:2] != managed)


def element_of(item: Any, schema: SchemaType) -> str:
    """The path element of a list's item."""
    if schema.list_type == "set":
        return "v:" + orjson.dumps(item).decode()
    keys = {}
    for key in schema.keys:
        value = item.get(key, KEY_DEFAULTS.get(key)) if isinstance(item, dict) else None
        if value is not None:
            keys[key] = value
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def _collect(value: Any, schema: SchemaType | None, path: Path, found: set[Path]) -> None:
    if schema is None:
        _collect_untyped(value, path, found)
        return
    if isinstance(value, dict) and schema.shape in ("struct", "map", "any"):
        if schema.atomic:
            found.add(path)
            return
        is_struct = schema.shape == "struct"
        for key, item in value.items():
            inner = (*path, f"f:{key}")
            field = schema.field(key)
            _collect(item, field, inner, found)
            if item is None or item == {} or not (is_struct and field is not None):
                found.add(inner)
    elif isinstance(value, list) and schema.shape == "list" and schema.list_type != "atomic":
        for item in value:
            inner = (*path, element_of(item, schema))
            _collect(item, schema.element, inner, found)
            found.add(inner)
    elif isinstance(value, dict) and schema.shape == "scalar":
        found.add(path)
    else:
        found.add(path)


def _collect_untyped(value: Any, path: Path, found: set[Path]) -> None:
    """Untyped values: maps are granular, lists atomic (deduced schema)."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            inner = (*path, f"f:{key}")
            _collect_untyped(item, inner, found)
            found.add(inner)
    else:
        found.add(path)


def to_fields_v1(fields: Iterable[Path]) -> Json:
    """FieldsV1 of a set: a path that is itself a member and has children carries "."."""
    members = set(fields)
    root: Json = {}
    for path in sorted(members):
        node = root
        for depth, element in enumerate(path):
            if element not in node:
                node[element] = {}
            elif not node[element] and path[: depth + 1] in members and depth + 1 < len(path):
                node[element]["."] = {}
            node = node[element]
    return root


def from_fields_v1(tree: Json) -> FieldSet:
    found: set[Path] = set()

    def walk(node: Json, path: Path) -> None:
        for element, child in node.items():
            if element == ".":
                found.add(path)
                continue
            inner = (*path, element)
            if child:
                walk(child, inner)
            else:
                found.add(inner)

    walk(tree, ())
    return frozenset(found)


def changed_fields(before: Any, after: Any, schema: SchemaType) -> tuple[FieldSet, FieldSet]:
    """(added or modified, removed) between two objects (typed.Compare)."""
    comparison = _Comparison()
    comparison.compare(before, after, schema, ())
    managed = ("f:metadata", "f:managedFields")

    def owned(paths: set[Path]) -> FieldSet:
        return frozenset(path for path in paths - _UNOWNED if path and path[:2] != managed)

    return owned(comparison.changed), owned(comparison.removed)


ABSENT: Any = object()


class _Comparison:
    """Walks two values at once; an absent side makes every path below it, containers included,
    added or removed."""

    def __init__(self) -> None:
        self.changed: set[Path] = set()
        self.removed: set[Path] = set()

    def compare(self, left: Any, right: Any, schema: SchemaType | None, path: Path) -> None:
        is_granular = self._descend(left, right, schema, path)
        if is_granular:
            if left is ABSENT:
                self.changed.add(path)
            elif right is ABSENT:
                self.removed.add(path)

    def _descend(self, left: Any, right: Any, schema: SchemaType | None, path: Path) -> bool:
        """Returns False for a leaf, which it has handled."""
        shapes = [value for value in (left, right) if value is not ABSENT and value is not None]
        if not any(shapes):
            return self._leaf(left, right, path)
        if all(isinstance(value, dict) for value in shapes) and not (
            schema is not None and schema.atomic
        ):
            if schema is not None and schema.shape not in ("struct", "map", "any"):
                return self._leaf(left, right, path)
            old = left if isinstance(left, dict) else {}
            new = right if isinstance(right, dict) else {}
            for key in old.keys() | new.keys():
                field = schema.field(key) if schema is not None else None
                self.compare(old.get(key, ABSENT), new.get(key, ABSENT), field, (*path, f"f:{key}"))
            return True
        is_list = all(isinstance(value, list) for value in shapes)
        if (
            is_list
            and schema is not None
            and schema.shape == "list"
            and schema.list_type != "atomic"
        ):
            old_items = (
                {element_of(item, schema): item for item in left} if isinstance(left, list) else {}
            )
            new_items = (
                {element_of(item, schema): item for item in right}
                if isinstance(right, list)
                else {}
            )
            for element in old_items.keys() | new_items.keys():
                self.compare(
                    old_items.get(element, ABSENT),
                    new_items.get(element, ABSENT),
                    schema.element,
                    (*path, element),
                )
            return True
        return self._leaf(left, right, path)

    def _leaf(self, left: Any, right: Any, path: Path) -> bool:
        if left is ABSENT:
            self.changed.add(path)
        elif right is ABSENT:
            self.removed.add(path)
        elif left != right or isinstance(left, bool) != isinstance(right, bool):
            self.changed.add(path)
        return False


def value_at(obj: Any, schema: SchemaType | None, path: Path) -> Any:
    """The value at a path; None when there is none."""
    for element in path:
        if element.startswith("f:"):
            if not isinstance(obj, dict):
                return None
            obj = obj.get(element[2:])
            schema = schema.field(element[2:]) if schema is not None else None
        else:
            if not isinstance(obj, list) or schema is None:
                return None
            listed = schema
            obj = next((item for item in obj if element_of(item, listed) == element), None)
            schema = schema.element
    return obj


def merge_applied(live: Any, config: Any, schema: SchemaType | None) -> Any:
    """typed.Merge: the live value with all values of the applied configuration."""
    if (
        schema is not None
        and isinstance(live, dict)
        and isinstance(config, dict)
        and not schema.atomic
    ):
        result = dict(live)
        for key, value in config.items():
            if key in live:
                result[key] = merge_applied(live[key], value, schema.field(key))
            else:
                result[key] = copy_json(value)
        return result
    if schema is None and isinstance(live, dict) and isinstance(config, dict):
        return {
            **live,
            **{key: merge_applied(live.get(key), value, None) for key, value in config.items()},
        }
    if (
        schema is not None
        and schema.shape == "list"
        and schema.list_type != "atomic"
        and isinstance(live, list)
        and isinstance(config, list)
    ):
        return _merge_lists(live, config, schema)
    return copy_json(config)


def _merge_lists(live: list[Any], config: list[Any], schema: SchemaType) -> list[Any]:
    """Applied items come in the applied order; each live item that is not applied stays before its
    successor."""
    wanted = {element_of(item, schema): item for item in config}
    present = {element_of(item, schema): item for item in live}
    result: list[Any] = []
    pending = list(wanted)
    for element, item in present.items():
        if element not in wanted:
            result.append(item)
        elif element in pending:
            while pending and pending[0] != element and pending[0] not in present:
                result.append(copy_json(wanted[pending.pop(0)]))
            if pending and pending[0] == element:
                pending.pop(0)
                result.append(merge_applied(item, wanted[element], schema.element))
            else:
                while pending:
                    head = pending.pop(0)
                    known = present.get(head)
                    result.append(
                        copy_json(wanted[head])
                        if known is None
                        else merge_applied(known, wanted[head], schema.element)
                    )
                    if head == element:
                        break
    for element in pending:
        known = present.get(element)
        item = wanted[element]
        result.append(
            copy_json(item) if known is None else merge_applied(known, item, schema.element)
        )
    return result


def without_fields(obj: Json, schema: SchemaType, removed: FieldSet) -> Json:
    """A copy of the object without the given paths; emptied containers stay only when they are
    kept."""
    result: Json = copy_json(obj)
    for path in sorted(removed, key=len, reverse=True):
        _remove(result, schema, path)
    return result


def _remove(obj: Json, schema: SchemaType, path: Path) -> None:
    parent = value_at(obj, schema, path[:-1]) if len(path) > 1 else obj
    last = path[-1]
    if last.startswith("f:"):
        if isinstance(parent, dict):
            parent.pop(last[2:], None)
    elif isinstance(parent, list):
        container: SchemaType | None = schema
        for element in path[:-1]:
            if container is None:
                return
            container = (
                container.field(element[2:]) if element.startswith("f:") else container.element
            )
        if container is not None:
            listed = container
            parent[:] = [item for item in parent if element_of(item, listed) != last]
