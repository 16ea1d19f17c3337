"""Strategic merge patches (apimachinery strategicpatch), driven by the merge keys of the published
types."""

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
        replaced: Json = copy_json(
            {key: value for key, value in patch.items() if key != _DIRECTIVE}
        )
        return replaced
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadStrategicPatch(f"Unknown patch type: {directive}")
    retained = patch.get(_RETAIN)
    if retained is not None:
        original = {key: value for key, value in original.items() if key in retained}
    for key, value in patch.items():
        if key.startswith(_DELETE_PRIMITIVES):
            field = key.removeprefix(_DELETE_PRIMITIVES)
            original[field] = [item for item in original.get(field) or [] if item not in value]
        elif key not in (_DIRECTIVE, _RETAIN) and not key.startswith(_ORDER):
            _merge_field(original, key, value, schema, patch.get(_ORDER + key))
    return original


def _merge_field(
    original: Json, key: str, value: Any, schema: SchemaType | None, order: list[Any] | None
) -> None:
    is_known = schema is not None and schema.shape in ("struct", "map")
    field_type = schema.field(key) if schema is not None and is_known else None
    if value is None:
        original.pop(key, None)
    elif isinstance(value, dict):
        present = original.get(key)
        original[key] = _merge_map(present if isinstance(present, dict) else {}, value, field_type)
    elif isinstance(value, list):
        original[key] = _merge_list(original.get(key), value, field_type, order)
    else:
        original[key] = value


def _merge_list(
    original: Any, patch: list[Any], schema: SchemaType | None, order: list[Any] | None
) -> list[Any]:
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
            raise BadStrategicPatch(
                f"map: {_as_go(item)} does not contain declared merge key: {key}"
            )
        at = next(
            (index for index, known in enumerate(result) if known.get(key) == item[key]), None
        )
        if item.get(_DIRECTIVE) == "delete":
            result = [known for known in result if known.get(key) != item[key]]
        elif at is None:
            result.append(_merge_map({}, item, schema.element))
        else:
            result[at] = _merge_map(result[at], item, schema.element)
    wanted = order if order is not None else [item for item in patch if _DIRECTIVE not in item]
    return _ordered(result, present, [_item_key(item, key) for item in wanted], key)


def _as_go(item: Json) -> str:
    """fmt's %v of a map."""
    shown = " ".join(
        f"{name}:{_as_go(value) if isinstance(value, dict) else value}"
        for name, value in sorted(item.items())
    )
    return f"map[{shown}]"


def _ordered(items: list[Any], live: list[Any], order: list[Any], key: str) -> list[Any]:
    """normalizeElementOrder: patched items in their order; each other item before the first one
    that came after it."""
    by_key = {_item_key(item, key): item for item in items}
    places = {_item_key(item, key): index for index, item in enumerate(live)}
    patched = [name for name in order if name in by_key]
    rest = [name for name in by_key if name not in set(patched)]
    result = []
    while rest or patched:
        if not rest:
            result.append(patched.pop(0))
        elif not patched or (
            patched[0] in places and rest[0] in places and places[rest[0]] < places[patched[0]]
        ):
            result.append(rest.pop(0))
        else:
            result.append(patched.pop(0))
    return [by_key[name] for name in result]


def _item_key(item: Any, key: str) -> Any:
    return item.get(key) if isinstance(item, dict) else item
