"""PATCH: the four patch types, on an object or on its status and scale."""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.callers import Caller, WriteOptions
from sandbox.cluster.api_server.json_patch import (
    PatchDoesNotApply,
    apply_json_patch,
    apply_merge_patch,
)
from sandbox.cluster.api_server.registry import Registry
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.api_server.strategic_merge import BadStrategicPatch, apply_strategic_merge
from sandbox.cluster.objects import Json, copy_json

JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def patched(document: Json, content_type: str, body: bytes, resource: Resource) -> Json:
    """The document with a patch of one of the three client-side types applied."""
    match content_type:
        case "application/json-patch+json":
            return _json_patched(document, _parsed(body))
        case "application/merge-patch+json":
            result = apply_merge_patch(document, _parsed(body))
            if not isinstance(result, dict):
                raise failures.bad_request("the patch leaves no object")
            return result
        case "application/strategic-merge-patch+json" if not resource.is_custom:
            return _strategically_merged(document, _parsed(body), resource)
        case _:
            raise failures.unsupported_patch_type()


def _json_patched(document: Json, operations: Any) -> Json:
    if not isinstance(operations, list):
        raise failures.bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type"
            " []handlers.jsonPatchOp"
        )
    try:
        return apply_json_patch(document, operations)
    except PatchDoesNotApply:
        raise failures.rejected_patch() from None
    except (KeyError, TypeError) as error:
        raise failures.bad_request(f"error decoding patch: {error}") from None


def _strategically_merged(document: Json, patch: Any, resource: Resource) -> Json:
    if not isinstance(patch, dict):
        raise failures.bad_request("the patch is no object")
    try:
        return apply_strategic_merge(document, patch, resource.schema())
    except BadStrategicPatch as error:
        raise failures.ApiFailure(500, "", str(error)) from None


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise failures.bad_request(f"error decoding patch: {error}") from None


def patch_object(
    registry: Registry,
    resource: Resource,
    namespace: str,
    name: str,
    content_type: str,
    body: bytes,
    caller: Caller,
    options: WriteOptions,
    subresource: str,
) -> tuple[Json, bool]:
    """The stored object, and whether server-side apply created it."""
    if content_type == APPLY_PATCH:
        return registry.apply(
            resource, namespace, name, parse_configuration(body), caller, options, subresource
        )
    before = registry.get(resource, namespace, name)
    document = patched(copy_json(before), content_type, body, resource)
    sent = (document.get("metadata") or {}).get("resourceVersion")
    if sent != before["metadata"]["resourceVersion"] and sent is not None:
        raise failures.conflict(resource, name, failures.MODIFIED)
    if (document.get("metadata") or {}).get("name") != name:
        raise failures.bad_request(
            f"the name of the object ({(document.get('metadata') or {}).get('name')}) does not"
            f" match the name on the URL ({name})"
        )
    stored = registry.update(
        resource, namespace, name, document, caller, options, subresource, verb="patch"
    )
    return stored, False


def parse_configuration(body: bytes) -> Json:
    """The body of a server-side apply, which may be YAML."""
    try:
        config: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            config = yaml.safe_load(body)
        except yaml.YAMLError as error:
            raise failures.bad_request(f"error decoding YAML: {error}") from None
    if not isinstance(config, dict):
        raise failures.bad_request("the applied configuration is no object")
    return config
