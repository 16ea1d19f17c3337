"""Strategic merge patches (apimachinery strategicpatch), driven by the merge keys of the published types."""

from __future__ import annotations

from typing import Any

from sandbox.cluster.api_server.schemas import SchemaType
from sandbox.cluster.objects import Json, copy_json

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"


class BadStrategicPatch(Exception):
    """A patch that strategicpatch refuses."""


def apply_strategic_merge(document: Json, patch: Json, schema: SchemaType | None) -> Json:
    """The patched copy of the document."""
    return _merge_map(copy_json(document), patch, schema)


def _merge_map(original: Json, patch: Json, schema: SchemaType | None) -> Json:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return copy_json({key: value for key, value in patch.items() if key != _DIRECTIVE})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadStrategicPatch(f"Unknown patch type: {directive}")
    retained = patch.get(_RETAIN)
    if retained is not None:
        original = {key: value for key, value in original.items() if key in retained}
    for key, value in patch.items():
        if key in (_DIRECTIVE, _RETAIN):
            continue
        if key.startswith(_DELETE_PRIMITIVES):
            field = key.removeprefix(_DELETE_PRIMITIVES)
            original[field] = [item for item in original.get(field) or [] if item not in value]
            continue
        if key.startswith(_ORDER):
            continue
        field_type = schema.field(key) if schema is not None and schema.shape in ("struct", "map") else None
        if value is None:
            original.pop(key, None)
        elif isinstance(value, dict):
            present = original.get(key)
            original[key] = _merge_map(present if isinstance(present, dict) else {}, value, field_type)
        elif isinstance(value, list):
            original[key] = _merge_list(original.get(key), value, field_type)
        else:
            original[key] = value
    for key, order in patch.items():
        if key.startswith(_ORDER):
            field = key.removeprefix(_ORDER)
            field_type = schema.field(field) if schema is not None else None
            if isinstance(original.get(field), list) and field_type is not None:
                original[field] = _reorder(original[field], order, field_type.merge_key)
    return original


def _merge_list(original: Any, patch: list[Any], schema: SchemaType | None) -> list[Any]:
    present = original if isinstance(original, list) else []
    if schema is None or schema.shape != "list" or "merge" not in schema.patch_strategy:
        return list(copy_json(patch))
    if not any(isinstance(item, dict) for item in patch):
        return present + [item for item in patch if item not in present]
    key = schema.merge_key
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [copy_json(item) for item in patch if _DIRECTIVE not in item]
    result = list(present)
    for item in patch:
        if key not in item:
            raise BadStrategicPatch(f"map: {item} does not contain declared merge key: {key}")
        at = next((index for index, known in enumerate(result) if known.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            result = [known for known in result if known.get(key) != item[key]]
        elif at is None:
            result.append(_merge_map({}, item, schema.element))
        else:
            result[at] = _merge_map(result[at], item, schema.element)
    return result


def _reorder(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Items named in the order come in that order; each other item stays behind the item it followed."""
    ranks = {(_item_key(entry, key)): index for index, entry in enumerate(order)}
    rank = -1
    placed = []
    for position, item in enumerate(items):
        rank = ranks.get(_item_key(item, key), rank)
        placed.append((rank, position, item))
    return [item for _, _, item in sorted(placed, key=lambda entry: entry[:2])]


def _item_key(item: Any, key: str) -> Any:
    return item.get(key) if isinstance(item, dict) else item
