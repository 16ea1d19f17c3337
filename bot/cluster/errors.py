"""The one place where failures become what a caller can do about them: wait, observe again, or ask
a person.

Sources: Kubernetes API conventions, "Response Status Kind"; apimachinery/pkg/api/errors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson
import urllib3.exceptions

from bot.ports import ClusterUnreachable, PreconditionFailed, Refused
from config.redaction import redact

_LONGEST_MESSAGE = 500
# The API server always answers 500 to an unknown field or a wrong type in server-side apply
# (observed on 1.36).
_NOT_TAKEN = ("failed to create typed patch object", "failed to convert new object")


class NotThere(Exception):
    """Kubernetes itself reported that the object does not exist. Stays within this package."""


class FieldConflicts(Exception):
    """Server-side apply met fields that other managers own. Stays within this package."""

    def __init__(self, message: str, causes: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self._causes = causes

    def lines(self, ours: Collection[str]) -> tuple[str, ...]:
        """``manager: .spec.replicas`` for each field that none of ``ours`` owns."""
        found: list[str] = []
        for cause in self._causes:
            # conflict with "kubectl-set" using apps/v1 [with subresource "scale"] [at time]
            manager = str(cause.get("message", "")).partition('"')[2].partition('"')[0]
            if manager not in ours:
                found.append(f"{manager}: {cause.get('field', '')}")
        return tuple(found)


_FORBIDDEN = re.compile(
    r'cannot (\w+) resource "([^"]+)" in API group "([^"]*)" (?:in the namespace "([^"]+)"|at the'
    r" cluster scope)"
)


def missing_permission(message: str) -> str:
    """``the bot may not create namespaces in the whole cluster`` from RBAC's words; "" for a 403 of
    quota or admission.

    Source: apiserver/pkg/endpoints/handlers/responsewriters/errors.go, forbiddenMessage.
    """
    found = _FORBIDDEN.search(message)
    if found is None:
        return ""
    verb, resource, group, namespace = found.groups()
    # The API server reports a Namespace as lying in itself.
    place = (
        f"namespace {namespace}" if namespace and resource != "namespaces" else "the whole cluster"
    )
    return f"the bot may not {verb} {resource}{f'.{group}' if group else ''} in {place}"


def one_line(text: str, *, images: Iterable[str] = ()) -> str:
    """Kubernetes' message on one line, at most 500 characters, without secrets: it may quote what a
    container printed. It may name these images."""
    line = " ".join(redact(text[: 8 * _LONGEST_MESSAGE], images=images).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def unreachable(
    error: urllib3.exceptions.HTTPError, server: str, timeout_s: float
) -> ClusterUnreachable:
    """A request that got no answer. The address is named, the path is not: it may hold a probe's
    query."""
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    match reason:
        case urllib3.exceptions.NameResolutionError():
            return ClusterUnreachable(f"the name of the API server {server} cannot be resolved")
        case urllib3.exceptions.NewConnectionError():
            return ClusterUnreachable(f"the API server {server} refuses connections")
        case urllib3.exceptions.ConnectTimeoutError() | urllib3.exceptions.ReadTimeoutError():
            # After the two above, which urllib3 derives from a connect time-out.
            return ClusterUnreachable(
                f"the API server {server} did not answer within {timeout_s:g} s"
            )
        case urllib3.exceptions.SSLError():
            return ClusterUnreachable(
                f"no trusted connection to the API server {server}: {one_line(str(reason))}"
            )
        case _:
            return ClusterUnreachable(
                f"the connection to the API server {server} broke: {type(reason).__name__}"
            )


def code_of(error: urllib3.exceptions.HTTPError) -> str:
    """What stands in a metric where a status would, if there were one."""
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    match reason:
        case urllib3.exceptions.NameResolutionError():
            return "name"
        case urllib3.exceptions.NewConnectionError():
            return "connection"
        case urllib3.exceptions.TimeoutError():
            return "timeout"
        case urllib3.exceptions.SSLError():
            return "tls"
        case _:
            return "connection"


def status_of(body: bytes) -> dict[str, Any]:
    """The answer's Status object; {} when something other than an API server answered."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def images_named(body: object) -> frozenset[str]:
    """The images that a request asks for: in an object, or in a JSON patch."""
    match body:
        case {"path": str(path), "value": str(image)} if path.endswith("/image"):
            return frozenset((image,))
        case dict():
            own = (body["image"],) if isinstance(body.get("image"), str) else ()
            return frozenset(own).union(*map(images_named, body.values()))
        case list() | tuple():
            return frozenset[str]().union(*map(images_named, body))
        case _:
            return frozenset()


def failure(
    code: int,
    body: bytes,
    retry_after: str | None,
    server: str,
    *,
    images: Iterable[str] = (),
) -> Exception:
    """The exception for an answer of 300 or more. ``images``: what the request asked for, which a
    denial may name."""
    status = status_of(body)
    message = one_line(str(status.get("message") or ""), images=images)
    if code == 429:
        return ClusterUnreachable(
            f"the API server {server} is busy (429)", _retry_after_ms(retry_after)
        )
    if code == 500 and message.startswith(_NOT_TAKEN):
        return Refused(message)
    if code >= 500 or not status:
        # Without a Status, some proxy or load balancer answered. Its 404 says nothing about the
        # object.
        return ClusterUnreachable(
            f"the API server {server} answered {code}" + (f": {message}" if message else ""),
            _retry_after_ms(retry_after),
        )
    if code == 401:
        return ClusterUnreachable(
            f"the API server {server} does not accept the bot's credentials (401): renew them"
        )
    if code in (404, 410) and status.get("reason") in ("NotFound", "Gone", "Expired"):
        return NotThere(message)
    if code == 409:
        causes = (status.get("details") or {}).get("causes") or []
        if any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
            return FieldConflicts(message, causes)
        return PreconditionFailed(message)
    if code == 422 and is_failed_test(status):
        return PreconditionFailed("the object changed since this was decided")
    return Refused(message or f"the API server {server} answered {code}")


def is_failed_test(status: dict[str, Any]) -> bool:
    """Whether a 422 means that a JSON patch did not fit the object, and not that the result is
    invalid.

    The API server names the object and the causes only in the second case
    (apiserver/pkg/endpoints/handlers/patch.go: applyJSPatch answers NewGenericServerResponse with
    an empty name).
    """
    details = status.get("details") or {}
    return not details.get("name") and not details.get("causes")


def _retry_after_ms(header: str | None) -> int | None:
    """Kubernetes sends whole seconds."""
    return int(header) * 1000 if header is not None and header.strip().isdigit() else None
