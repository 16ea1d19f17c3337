"""Field changes into the JSON patch that Kubernetes itself checks. Pure.

What the API server does with the ``test`` of something absent (evanphx/json-patch v4, seen on
1.36): a missing key of an object that is there equals null; a key of an object that is itself
missing fails, as does ``remove`` of what is absent. So the first annotation of an object needs its
parent tested as absent and added whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from bot.cluster.reading import CHANGE_CAUSE
from bot.releases.facts.actions import FieldChange
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import (
    CLAIM_ANNOTATION,
    INSTALLATION_ANNOTATION,
    MINIMUM_ANNOTATION,
)

Operation = dict[str, Any]

_AFFINITY_KEYS = ("sessionAffinity", "sessionAffinityConfig")
_ANNOTATIONS = {
    Field.CLAIM: CLAIM_ANNOTATION,
    Field.CHANGE_CAUSE: CHANGE_CAUSE,
    Field.MIN_AS_FOUND: MINIMUM_ANNOTATION,
}


def pointer(*keys: str | int) -> str:
    """RFC 6901."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def expect(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}


def difference(before: Any, after: Any, path: str) -> Iterator[Operation]:
    """The smallest operations from one JSON value to the other, each leaf tested before it is
    written.

    Lists of equal length are compared item by item, bound to the items' names where they have any,
    so that a container put in front of ours is noticed; lists of another length are tested and
    replaced whole.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before:
            if key not in after:
                yield expect(path + pointer(key), before[key])
                yield {"op": "remove", "path": path + pointer(key)}
        for key, value in after.items():
            if key in before:
                yield from difference(before[key], value, path + pointer(key))
            else:
                yield expect(path + pointer(key), None)
                yield {"op": "add", "path": path + pointer(key), "value": value}
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            inner = list(difference(old, new, path + pointer(index)))
            if inner and isinstance(old, Mapping) and "name" in old:
                yield expect(path + pointer(index, "name"), old["name"])
            yield from inner
        return
    if before == after and isinstance(before, bool) == isinstance(
        after, bool
    ):  # True is not 1 to JSON
        return
    yield expect(path, before)
    yield {"op": "replace", "path": path, "value": after}


def patch(
    uid: str,
    changes: Sequence[FieldChange],
    *,
    claim: str | None,
    resource_version: str | None = None,
    annotated: bool = True,
    installation: str = "",
) -> list[Operation]:
    """The whole patch: identity, claim, old values, new values.

    ``claim`` None: not tested (Services). ``annotated`` False: the object has no annotations at
    all, and still must have none. ``installation`` is written and removed with a claim.
    """
    operations = [expect("/metadata/uid", uid)]
    if resource_version is not None:
        operations.append(expect("/metadata/resourceVersion", resource_version))
    annotations = pointer("metadata", "annotations")
    if not annotated:
        operations.append(expect(annotations, None))
        if any(change.field in _ANNOTATIONS and change.after for change in changes):
            operations.append({"op": "add", "path": annotations, "value": {}})
    elif claim is not None:
        operations.append(expect(annotations + pointer(CLAIM_ANNOTATION), claim or None))
    for change in changes:
        operations.extend(_operations(change, annotated=annotated))
        if change.field is Field.CLAIM and installation:
            operations.extend(_whose(installation if change.after else ""))
    return operations


def _whose(installation: str) -> Iterator[Operation]:
    """Untested: nothing follows from it, and a claim of an older version has none. Adding replaces,
    so that there is something to remove."""
    path = pointer("metadata", "annotations", INSTALLATION_ANNOTATION)
    yield {"op": "add", "path": path, "value": installation}
    if not installation:
        yield {"op": "remove", "path": path}


def _operations(change: FieldChange, *, annotated: bool) -> Iterator[Operation]:
    match change.field:
        case Field.CLAIM | Field.CHANGE_CAUSE | Field.MIN_AS_FOUND:
            yield from _annotation(_ANNOTATIONS[change.field], change, annotated=annotated)
        case Field.MIN_REPLICAS:
            yield from difference(change.before, change.after, pointer("spec", "minReplicas"))
        case Field.TEMPLATE | Field.REPLICAS | Field.STRATEGY | Field.SELECTOR:
            yield from difference(change.before, change.after, pointer("spec", change.field.value))
        case Field.PAUSED:
            # The server omits false, so false means absent.
            yield from _optional(
                change.before or None, change.after or None, pointer("spec", "paused")
            )
        case Field.AFFINITY:
            yield from _affinity(change)
        case Field.EXISTS:
            raise ValueError("objects come and go by Create and Delete actions, not by a patch")
        case _:
            assert_never(change.field)


def _affinity(change: FieldChange) -> Iterator[Operation]:
    """Null removes the config; a key that is left out leaves the config to the server."""
    for key in _AFFINITY_KEYS:
        if key in change.after:
            yield from _optional(
                (change.before or {}).get(key), change.after[key], pointer("spec", key)
            )


def _optional(before: Any, after: Any, path: str) -> Iterator[Operation]:
    """A field of which null means absent."""
    if before == after:
        return
    if before is not None and after is not None:
        yield from difference(before, after, path)
        return
    yield expect(path, before)
    yield (
        {"op": "remove", "path": path}
        if after is None
        else {"op": "add", "path": path, "value": after}
    )


def _annotation(key: str, change: FieldChange, *, annotated: bool) -> Iterator[Operation]:
    before, after = change.before or None, change.after or None
    path = pointer("metadata", "annotations", key)
    if before is None and after is None:
        return
    # A change cause may be overwritten, as kubectl does; a claim may not.
    if annotated and (key == CLAIM_ANNOTATION or after is None):
        yield expect(path, before)
    yield (
        {"op": "remove", "path": path}
        if after is None
        else {"op": "add", "path": path, "value": after}
    )


# --- the same fields of an object that was read ---


def value_in(item: Mapping[str, Any], field: Field) -> Any:
    """The value of a field as an observation carries it."""
    spec, annotations = item["spec"], item["metadata"].get("annotations") or {}
    match field:
        case Field.CLAIM | Field.CHANGE_CAUSE | Field.MIN_AS_FOUND:
            return annotations.get(_ANNOTATIONS[field], "")
        case Field.MIN_REPLICAS:
            return spec.get("minReplicas", 1)
        case Field.TEMPLATE:
            return spec["template"]
        case Field.REPLICAS:
            return spec.get("replicas", 1)
        case Field.PAUSED:
            return bool(spec.get("paused"))
        case Field.STRATEGY:
            return spec.get("strategy") or {}
        case Field.SELECTOR:
            return spec.get("selector") or {}
        case Field.AFFINITY:
            return {key: spec.get(key) for key in _AFFINITY_KEYS}
        case Field.EXISTS:
            return True
        case _:
            assert_never(field)


def holds(item: Mapping[str, Any], field: Field, value: Any) -> bool:
    """Whether the object has the value, taking absent, null and empty alike where
    Kubernetes does."""
    found = value_in(item, field)
    match field:
        case Field.CLAIM | Field.CHANGE_CAUSE | Field.MIN_AS_FOUND:
            return bool(found == (value or ""))
        case Field.PAUSED:
            return bool(found) == bool(value)
        case Field.AFFINITY:
            return all(
                found[key] == (value or {}).get(key)
                for key in _AFFINITY_KEYS
                if key in (value or {})
            )
        case _:
            return bool(found == value)
