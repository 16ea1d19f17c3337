"""RFC 6902 patches as the API server applies them (evanphx/json-patch), and RFC 7386 merge
patches."""

from __future__ import annotations

from typing import Any

from sandbox.cluster.objects import Json, copy_json


class PatchDoesNotApply(Exception):
    """An operation that cannot be applied, including a failing `test`."""


def apply_json_patch(document: Json, operations: list[Json]) -> Json:
    """The patched copy of the document; raises PatchDoesNotApply."""
    result: Any = copy_json(document)
    for operation in operations:
        result = _apply(result, operation)
    if not isinstance(result, dict):
        raise PatchDoesNotApply("the patched document is no object")
    return result


def _apply(document: Any, operation: Json) -> Any:
    path = _parse(operation["path"])
    match operation.get("op"):
        case "add":
            return _add(document, path, copy_json(operation.get("value")))
        case "remove":
            _remove(document, path)
        case (
            "replace"
        ):  # a key that is missing is added (evanphx/json-patch v4), an index must be there
            return _replace(document, path, copy_json(operation.get("value")))
        case "test":
            _test(document, path, operation.get("value"))
        case "copy":
            return _add(document, path, copy_json(_get(document, _parse(operation["from"]))))
        case "move":
            source = _parse(operation["from"])
            value = _get(document, source)
            _remove(document, source)
            return _add(document, path, value)
        case other:
            raise PatchDoesNotApply(f"Unexpected kind: {other}")
    return document


def _parse(pointer: str) -> list[str]:
    if pointer == "":
        return []
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _step(container: Any, key: str) -> Any:
    if isinstance(container, dict) and key in container:
        return container[key]
    if isinstance(container, list):
        return container[_index(container, key, len(container) - 1)]
    raise PatchDoesNotApply(f"doc is missing path: {key}: missing value")


def _index(container: list[Any], key: str, highest: int) -> int:
    if not key.lstrip("-").isdigit():
        raise PatchDoesNotApply(f"value was not a proper array index: {key}")
    index = int(key)
    if index < -len(container) or index > highest:
        raise PatchDoesNotApply(f"unable to access invalid index: {key}")
    return index


def _get(document: Any, path: list[str]) -> Any:
    for key in path:
        document = _step(document, key)
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container = _get(document, path[:-1])
    if isinstance(container, dict):
        container[path[-1]] = value
    elif isinstance(container, list):
        if path[-1] == "-":
            container.append(value)
        else:
            container.insert(_index(container, path[-1], len(container)), value)
    else:
        raise PatchDoesNotApply("add operation does not apply: doc is missing path")
    return document


def _replace(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container = _get(document, path[:-1])
    if isinstance(container, list):
        container[_index(container, path[-1], len(container) - 1)] = value
    else:
        container[path[-1]] = value
    return document


def _remove(document: Any, path: list[str]) -> None:
    container = _get(document, path[:-1])
    _step(container, path[-1])
    if isinstance(container, list):
        del container[_index(container, path[-1], len(container) - 1)]
    else:
        del container[path[-1]]


def _test(document: Any, path: list[str], wanted: Any) -> None:
    try:
        container = _get(document, path[:-1])
        found = _step(container, path[-1]) if path else container
    except PatchDoesNotApply:
        parent_found = False
        try:
            parent_found = isinstance(_get(document, path[:-1]), dict)
        except PatchDoesNotApply:
            pass
        if parent_found and wanted is None:  # a missing key counts as null
            return
        raise
    if not _same(found, wanted):
        raise PatchDoesNotApply(f"testing path /{'/'.join(path)} failed")


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def apply_merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result
