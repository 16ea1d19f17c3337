from __future__ import annotations

import json
from typing import Any

import pytest

from bot.cluster.errors import (
    FieldConflicts,
    NotThere,
    failure,
    images_named,
    missing_permission,
    one_line,
)
from bot.ports import ClusterUnreachable, PreconditionFailed, Refused

SERVER = "https://cluster.example"


def answer(
    code: int,
    *,
    reason: str = "",
    message: str = "",
    retry_after: str | None = None,
    **details: Any,
) -> Exception:
    status = {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }
    return failure(code, json.dumps(status).encode(), retry_after, SERVER)


@pytest.mark.parametrize(
    ("message", "permission"),
    [
        (
            (
                'deployments.apps "a" is forbidden: User "bot" cannot patch resource "deployments"'
                ' in API group "apps" in the namespace "shop"'
            ),
            "the bot may not patch deployments.apps in namespace shop",
        ),
        (
            (
                'User "bot" cannot get resource "clusterroles" in API group'
                ' "rbac.authorization.k8s.io" at the cluster scope'
            ),
            "the bot may not get clusterroles.rbac.authorization.k8s.io in the whole cluster",
        ),
        (
            (
                'namespaces "shop" is forbidden: User "bot" cannot get resource "namespaces" in API'
                ' group "" in the namespace "shop"'
            ),
            "the bot may not get namespaces in the whole cluster",
        ),
        (
            (
                'pods "a" is forbidden: exceeded quota: few, requested: pods=1, used: pods=7,'
                " limited: pods=7"
            ),
            "",
        ),
        ("", ""),
    ],
)
def test_a_missing_permission_is_read_from_the_words_of_the_api_server(
    message: str, permission: str
) -> None:
    assert missing_permission(message) == permission


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer(400, reason="BadRequest", message="no"), Refused),
        (answer(401, reason="Unauthorized", message="Unauthorized"), ClusterUnreachable),
        (answer(403, reason="Forbidden", message="exceeded quota: pods"), Refused),
        (answer(404, reason="NotFound", message="gone", name="hello"), NotThere),
        (
            answer(409, reason="Conflict", message="the object has been modified", name="hello"),
            PreconditionFailed,
        ),
        (answer(409, reason="AlreadyExists", message="exists", name="hello"), PreconditionFailed),
        (answer(410, reason="Expired", message="too old resource version"), NotThere),
        (
            answer(
                422,
                reason="Invalid",
                message="the server rejected our request due to an error in our request",
            ),
            PreconditionFailed,
        ),
        (
            answer(
                422,
                reason="Invalid",
                message="spec.replicas: Invalid value",
                name="hello",
                causes=[{"field": "x"}],
            ),
            Refused,
        ),
        (answer(429, reason="TooManyRequests"), ClusterUnreachable),
        (answer(500, reason="InternalError", message="etcd"), ClusterUnreachable),
        (
            answer(
                500,
                message=(
                    "failed to create typed patch object (a/b): .spec.x: field not declared in"
                    " schema"
                ),
            ),
            Refused,
        ),
        (answer(503, reason="ServiceUnavailable"), ClusterUnreachable),
        (answer(504, reason="Timeout"), ClusterUnreachable),
    ],
)
def test_each_answer_means_one_thing_that_a_caller_can_do(
    error: Exception, kind: type[Exception]
) -> None:
    assert type(error) is kind


def test_a_404_that_kubernetes_did_not_write_never_means_gone() -> None:
    """A load balancer without backends answers so."""
    assert isinstance(failure(404, b"<html>not found</html>", None, SERVER), ClusterUnreachable)


def test_how_long_to_wait_is_taken_from_the_server() -> None:
    error = answer(429, reason="TooManyRequests", retry_after="7")
    assert isinstance(error, ClusterUnreachable)
    assert error.retry_after_ms == 7_000


def test_conflicts_of_managers_name_those_who_are_not_ours() -> None:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-set" using apps/v1',
            "field": ".spec.replicas",
        },
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "pilothouse" using apps/v1',
            "field": ".spec.paused",
        },
    ]
    error = answer(409, reason="Conflict", message="Apply failed with 2 conflicts", causes=causes)
    assert isinstance(error, FieldConflicts)
    assert error.lines(("pilothouse", "pilothouse-apply")) == ("kubectl-set: .spec.replicas",)


def test_a_message_is_one_line_of_at_most_500_characters() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 2_000)) == 500


DENIED = (
    'admission webhook "images.example.com" denied the request: team/auth:missing is not signed'
)


@pytest.mark.parametrize(
    "body",
    [
        [
            {"op": "test", "path": "/metadata/uid", "value": "1"},
            {
                "op": "replace",
                "path": "/spec/template/spec/containers/0/image",
                "value": "team/auth:missing",
            },
        ],
        {"spec": {"template": {"spec": {"containers": [{"image": "team/auth:missing"}]}}}},
    ],
)
def test_a_denied_write_names_the_image_that_it_sent(body: Any) -> None:
    status = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": DENIED}
    sent = images_named(body)
    refused = failure(403, json.dumps(status).encode(), None, SERVER, images=sent)
    assert str(refused) == DENIED
