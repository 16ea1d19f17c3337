"""Errors of the API server: each becomes the metav1.Status body that a real API server returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.cluster.objects import Json

if TYPE_CHECKING:
    from sandbox.cluster.api_server.resources import Resource


@dataclass(frozen=True)
class Cause:
    """One entry of details.causes; `text` is how the cause reads inside an Invalid message."""

    field: str
    text: str
    reason: str

    def body(self) -> Json:
        return {"reason": self.reason, "message": self.text, "field": self.field}


class ApiFailure(Exception):
    """A refused request; `body` is the whole Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    @property
    def body(self) -> Json:
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if not self.reason:
            del body["reason"]
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def _details(resource: Resource, name: str, **more: Any) -> Json:
    details: Json = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in {**details, **more}.items() if value not in ("", None)}


def _kind_details(resource: Resource, name: str, **more: Any) -> Json:
    details: Json = {"name": name, "group": resource.group, "kind": resource.kind}
    return {key: value for key, value in {**details, **more}.items() if value not in ("", None)}


def not_found(resource: Resource, name: str) -> ApiFailure:
    return ApiFailure(
        404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name)
    )


def unknown_path() -> ApiFailure:
    return ApiFailure(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> ApiFailure:
    return ApiFailure(
        409,
        "AlreadyExists",
        f'{resource.qualified} "{name}" already exists',
        _details(resource, name),
    )


def conflict(resource: Resource, name: str, why: str) -> ApiFailure:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiFailure(409, "Conflict", message, _details(resource, name))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def bad_request(message: str) -> ApiFailure:
    return ApiFailure(400, "BadRequest", message)


def invalid(resource: Resource, name: str, causes: list[Cause]) -> ApiFailure:
    texts = list(dict.fromkeys(f"{cause.field}: {cause.text}" for cause in causes))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    group = f".{resource.group}" if resource.group else ""
    message = f'{resource.kind}{group} "{name}" is invalid: {joined}'
    details = _kind_details(resource, name, causes=[cause.body() for cause in causes])
    return ApiFailure(422, "Invalid", message, details)


def forbidden(resource: Resource, name: str, why: str) -> ApiFailure:
    message = f'{resource.qualified} "{name}" is forbidden: {why}'
    return ApiFailure(403, "Forbidden", message, _details(resource, name))


def rejected_patch() -> ApiFailure:
    """The API server's error for a JSON patch that does not apply, including a failing `test`."""
    return ApiFailure(
        422, "Invalid", "the server rejected our request due to an error in our request", {}
    )


def invalid_options(kind: str, cause: Cause) -> ApiFailure:
    """Invalid query parameters or delete options."""
    message = f'{kind}.meta.k8s.io "" is invalid: {cause.field}: {cause.text}'
    return ApiFailure(
        422, "Invalid", message, {"group": "meta.k8s.io", "kind": kind, "causes": [cause.body()]}
    )


def kind_conflict(resource: Resource, name: str, why: str) -> ApiFailure:
    """A failed precondition, which the API server words with the kind instead of the resource."""
    group = f".{resource.group}" if resource.group else ""
    message = f'Operation cannot be fulfilled on {resource.kind}{group} "{name}": {why}'
    return ApiFailure(409, "Conflict", message, _kind_details(resource, name))


def expired(message: str) -> ApiFailure:
    return ApiFailure(410, "Expired", message)


def method_not_allowed() -> ApiFailure:
    return ApiFailure(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        {},
    )


def unsupported_media_type(accepted: list[str]) -> ApiFailure:
    message = (
        "the body of the request was in an unknown format - accepted media types include:"
        f" {', '.join(accepted)}"
    )
    return ApiFailure(415, "UnsupportedMediaType", message)


def unsupported_patch_type() -> ApiFailure:
    return ApiFailure(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def required(field: str, detail: str = "") -> Cause:
    return Cause(field, "Required value" + (f": {detail}" if detail else ""), "FieldValueRequired")


def invalid_value(field: str, value: Any, detail: str) -> Cause:
    return Cause(field, f"Invalid value: {_shown(value)}: {detail}", "FieldValueInvalid")


def not_supported(field: str, value: Any, allowed: list[str]) -> Cause:
    choices = ", ".join(f'"{choice}"' for choice in sorted(allowed))
    return Cause(
        field,
        f"Unsupported value: {_shown(value)}: supported values: {choices}",
        "FieldValueNotSupported",
    )


def duplicate(field: str, value: Any) -> Cause:
    return Cause(field, f"Duplicate value: {_shown(value)}", "FieldValueDuplicate")


def forbidden_field(field: str, detail: str) -> Cause:
    return Cause(field, f"Forbidden: {detail}", "FieldValueForbidden")


def too_long(field: str, limit: int) -> Cause:
    return Cause(field, f"Too long: may not be more than {limit} bytes", "FieldValueTooLong")


def _shown(value: Any) -> str:
    """Prints a bad value as field.Error does: JSON-like with Go's quoting."""
    import orjson

    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return orjson.dumps(value).decode()
        case int() | float():
            return str(value)
        case _:
            return orjson.dumps(value).decode()
