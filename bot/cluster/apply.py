"""Actions into requests, one function each. Every request may be sent twice: what is in effect
already is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

import orjson

from bot.cluster import errors, reading
from bot.cluster.connect import JSON_PATCH, Connection, listed_autoscaler, path_of
from bot.cluster.patching import holds, patch
from bot.ports import PreconditionFailed, Refused
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    FieldChange,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import CLAIM_ANNOTATION, INSTALLATION_ANNOTATION, Written

FIELD_MANAGER = "pilothouse"
_AS_US = {"fieldManager": FIELD_MANAGER}


def apply(
    connection: Connection, namespace: str, action: Action, *, installation: str = ""
) -> Written | None:
    """Carry out one action. ``installation`` marks the claims on Deployments. Raises
    PreconditionFailed, Refused, ClusterUnreachable."""
    match action:
        case PatchDeployment():
            item = _patch(
                connection,
                path_of("deployments", namespace, action.name),
                action.uid,
                action.changes,
                claim=action.claim,
                resource_version=action.resource_version or None,
                installation=installation,
            )
            return Written(reading.deployment(item))
        case PatchService():
            _patch(
                connection, path_of("services", namespace, action.name), action.uid, action.changes,
                resource_version=action.resource_version,
            )  # fmt: skip
        case CreateDeployment():
            body = _marked(action.body, installation)
            item = _create(connection, "deployments", namespace, action.name, action.claim, body)
            return Written(reading.deployment(item))
        case CreateService():
            _create(connection, "services", namespace, action.name, action.claim, action.body)
        case DeleteDeployment():
            left = _delete(connection, path_of("deployments", namespace, action.name), action.uid)
            return Written(reading.deployment(left) if left else None)
        case DeleteService():
            _delete(connection, path_of("services", namespace, action.name), action.uid)
        case PatchAutoscaler():
            _patch_autoscaler(connection, namespace, action)
        case _:
            assert_never(action)
    return None


def _patch_autoscaler(connection: Connection, namespace: str, action: PatchAutoscaler) -> None:
    _patch(
        connection,
        path_of("horizontalpodautoscalers", namespace, action.name),
        action.uid,
        action.changes,
        claim=action.claim,
        resource_version=action.resource_version or None,
        read=lambda: listed_autoscaler(connection, namespace, action.name),
    )


def _patch(
    connection: Connection,
    path: str,
    uid: str,
    changes: Sequence[FieldChange],
    *,
    claim: str | None = None,
    resource_version: str | None = None,
    installation: str = "",
    read: Callable[[], Mapping[str, Any] | None] | None = None,
) -> Mapping[str, Any]:
    """The object as it is now. ``read``: how it is read again; None: at its path."""

    def send(*, annotated: bool) -> Mapping[str, Any]:
        operations = patch(
            uid,
            changes,
            claim=claim,
            resource_version=resource_version,
            annotated=annotated,
            installation=installation,
        )
        made: Mapping[str, Any] = connection.patch(
            path, operations, _AS_US, content_type=JSON_PATCH
        )
        return made

    try:
        return send(annotated=True)
    except errors.NotThere as gone:
        raise PreconditionFailed(str(gone)) from gone
    except PreconditionFailed as stale:
        # Ask the object why: already done, claimed by another release, changed since, or without
        # any annotation to test in.
        item: Mapping[str, Any] | None = read() if read else connection.existing(path)
        if item is None or item["metadata"]["uid"] != uid:
            raise PreconditionFailed("the object was deleted since this was decided") from stale
        if _in_effect(item, changes, claim):
            return item
        _check_unchanged(item, changes, claim, resource_version)
        if item["metadata"].get("annotations"):
            raise  # it changed and changed back meanwhile
        return send(annotated=False)


def _in_effect(item: Mapping[str, Any], changes: Sequence[FieldChange], claim: str | None) -> bool:
    claims = [change for change in changes if change.field is Field.CLAIM]
    ours = bool(claims) or claim is None or holds(item, Field.CLAIM, claim)
    return ours and all(holds(item, change.field, change.after) for change in changes)


def _check_unchanged(
    item: Mapping[str, Any],
    changes: Sequence[FieldChange],
    claim: str | None,
    resource_version: str | None,
) -> None:
    name = item["metadata"]["name"]
    if claim is not None and not holds(item, Field.CLAIM, claim):
        holder = (item["metadata"].get("annotations") or {}).get(
            CLAIM_ANNOTATION, ""
        ) or "no release"
        raise PreconditionFailed(f"{name} is claimed by {holder}, not by {claim or 'no release'}")
    changed = [
        change.field.value for change in changes if not holds(item, change.field, change.before)
    ]
    if changed:
        raise PreconditionFailed(f"{name} changed since this was decided: {', '.join(changed)}")
    if resource_version is not None and item["metadata"]["resourceVersion"] != resource_version:
        raise PreconditionFailed(f"{name} changed since this was decided")


def _marked(body: Mapping[str, Any], installation: str) -> Mapping[str, Any]:
    if not installation:
        return body
    meta = body["metadata"]
    annotations = {**(meta.get("annotations") or {}), INSTALLATION_ANNOTATION: installation}
    return {**body, "metadata": {**meta, "annotations": annotations}}


def _create(
    connection: Connection,
    resource: str,
    namespace: str,
    name: str,
    claim: str,
    body: Mapping[str, Any],
) -> Mapping[str, Any]:
    """The object as it is now."""
    try:
        made: Mapping[str, Any] = connection.post(path_of(resource, namespace), body, _AS_US)
        return made
    except PreconditionFailed as exists:
        item: Mapping[str, Any] | None = connection.existing(path_of(resource, namespace, name))
        if item is None or "deletionTimestamp" in item["metadata"]:
            raise PreconditionFailed(f"{name} is just being deleted") from exists
        if not holds(item, Field.CLAIM, claim):
            raise PreconditionFailed(
                f"{name} exists already and does not belong to release {claim}"
            ) from exists
        return item
    except errors.NotThere as gone:
        raise Refused(str(gone)) from gone  # the namespace


def _delete(connection: Connection, path: str, uid: str) -> Mapping[str, Any] | None:
    """What is left of it: an object that finalizers hold. The API server answers with a Status
    where it is gone at once (apiserver: registry/generic/registry/store.go, Delete)."""
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid},
        "propagationPolicy": "Background",
    }
    try:
        answer: Mapping[str, Any] = orjson.loads(connection.send("DELETE", path, body=options))
    except errors.NotThere:
        return None
    return None if answer.get("kind") == "Status" else answer
