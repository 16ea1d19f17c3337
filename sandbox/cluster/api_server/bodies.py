"""The body of a request: its type, its fields, its name and namespace."""

from __future__ import annotations

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.callers import WriteOptions
from sandbox.cluster.api_server.decoding import Decoder, DecodingError
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.objects import Json, copy_json


def decoded(resource: Resource, obj: Json, options: WriteOptions, *, apply: bool = False) -> Json:
    """A copy with the types of the schema. Raises ApiFailure for a body of another shape."""
    _check_type(resource, obj)
    schema = resource.schema()
    if schema is None:
        return {"apiVersion": resource.api_version, "kind": resource.kind, **copy_json(obj)}
    decoder = Decoder(resource.kind)
    try:
        body = decoder.decode(obj, schema)
    except DecodingError as error:
        raise failures.bad_request(str(error)) from None
    if decoder.unknown:
        if apply or options.validation == "Strict":
            _refuse_unknown(resource, obj, decoder.unknown, apply=apply)
        elif options.validation == "Warn":
            options.warnings += [f'unknown field "{path}"' for path in decoder.unknown]
    body["apiVersion"], body["kind"] = resource.api_version, resource.kind
    return body


def _check_type(resource: Resource, obj: Json) -> None:
    if not isinstance(obj, dict):
        raise failures.bad_request("the body of the request is no object")
    version, kind = obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind
    if version != resource.api_version:
        raise failures.bad_request(
            f"the API version in the data ({version}) does not match the expected API version"
            f" ({resource.api_version})"
        )
    if kind != resource.kind:
        raise failures.bad_request(
            f"{kind} in version {resource.version!r} cannot be handled as a {resource.kind}"
        )


def _refuse_unknown(resource: Resource, obj: Json, unknown: list[str], *, apply: bool) -> None:
    if apply and not resource.is_custom:
        name = (obj.get("metadata") or {}).get("name", "")
        namespace = (obj.get("metadata") or {}).get("namespace", "")
        gvk = f"{resource.group}/{resource.version}, Kind={resource.kind}"
        shown = f"{namespace}/{name}; {gvk}"
        texts = "\n  ".join(f".{path}: field not declared in schema" for path in unknown)
        raise ApiFailure(500, "", f"failed to create typed patch object ({shown}): {texts}")
    texts = ", ".join(f'unknown field "{path}"' for path in unknown)
    raise failures.bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a'
        f" {resource.kind}: strict decoding error: {texts}"
    )


def adopt_name(metadata: Json, name: str, sent: str) -> None:
    """Gives the object the name of the URL. Raises ApiFailure when `sent` is a different one."""
    if sent != name:
        raise failures.bad_request(
            f"the name of the object ({sent}) does not match the name on the URL ({name})"
        )
    metadata["name"] = name


def adopt_namespace(resource: Resource, metadata: Json, namespace: str) -> None:
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.get("namespace", namespace) != namespace:
        raise failures.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = namespace
