"""Refusals: codes, reasons and the words of the API server."""

from __future__ import annotations

import pytest

from tests.contracts.cluster_api.server import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Json,
    Namespace,
    deployment,
    service,
)


def body_of(namespace: Namespace, plural: str, body: Json, code: int, **query: str) -> Json:
    answer = namespace.create(plural, body, **query)
    assert answer.status_code == code, answer.text
    found: Json = answer.json()
    return found


def test_a_missing_object_is_404_and_names_resource_and_group(
    namespace: Namespace,
) -> None:
    answer = namespace.get("deployments", "nope")
    assert answer.status_code == 404
    body = answer.json()
    assert body["message"] == 'deployments.apps "nope" not found'
    assert body["reason"] == "NotFound"
    assert body["details"] == {"name": "nope", "group": "apps", "kind": "deployments"}


def test_an_unknown_resource_is_404_without_a_name(namespace: Namespace) -> None:
    answer = namespace.http.get(f"/apis/apps/v1/namespaces/{namespace.name}/sandcastles")
    assert answer.status_code == 404


def test_a_second_creation_is_409_already_exists(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=0))
    body = body_of(namespace, "deployments", deployment(), 409)
    assert body["reason"] == "AlreadyExists"
    assert body["message"] == 'deployments.apps "hello" already exists'


def test_a_creation_in_a_missing_namespace_is_404(namespace: Namespace) -> None:
    answer = namespace.http.post(
        "/apis/apps/v1/namespaces/no-such-place/deployments", json=deployment()
    )
    assert answer.status_code == 404
    assert answer.json()["message"] == 'namespaces "no-such-place" not found'


def test_negative_replicas_are_422_and_say_why(namespace: Namespace) -> None:
    body = body_of(namespace, "deployments", deployment(replicas=-1), 422)
    assert (
        body["message"]
        == 'Deployment.apps "hello" is invalid: spec.replicas: Invalid value: -1: must be greater'
        " than or equal to 0"
    )
    assert body["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: -1: must be greater than or equal to 0",
            "field": "spec.replicas",
        }
    ]


def test_a_selector_that_does_not_match_the_template_is_422(namespace: Namespace) -> None:
    wrong = deployment()
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    body = body_of(namespace, "deployments", wrong, 422)
    assert "`selector` does not match template `labels`" in body["message"]


def test_several_errors_are_reported_together(namespace: Namespace) -> None:
    wrong = deployment()
    del wrong["spec"]["selector"]
    body = body_of(namespace, "deployments", wrong, 422)
    assert [cause["field"] for cause in body["details"]["causes"]] == [
        "spec.selector",
        "spec.template.metadata.labels",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"template": {"spec": {"containers": []}}}, "spec.template.spec.containers"),
        (
            {
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0},
                }
            },
            "spec.strategy.rollingUpdate.maxUnavailable",
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate",
        ),
        ({"minReadySeconds": 10, "progressDeadlineSeconds": 5}, "spec.progressDeadlineSeconds"),
    ],
)
def test_a_bad_field_is_422_and_named(namespace: Namespace, change: Json, field: str) -> None:
    wrong = deployment()
    if "template" in change:
        wrong["spec"]["template"]["spec"] = change["template"]["spec"]
    else:
        wrong["spec"].update(change)
    body = body_of(namespace, "deployments", wrong, 422)
    assert field in [cause["field"] for cause in body["details"]["causes"]]


def test_a_name_with_capitals_is_422(namespace: Namespace) -> None:
    body = body_of(namespace, "deployments", deployment("Bad_Name"), 422)
    assert "a lowercase RFC 1123 subdomain must consist of" in body["message"]


def test_a_bad_label_value_is_422(namespace: Namespace) -> None:
    wrong = deployment()
    wrong["metadata"]["labels"] = {"release": "-1-"}
    body = body_of(namespace, "deployments", wrong, 422)
    assert (
        "a valid label must be an empty string or consist of alphanumeric characters"
        in body["message"]
    )


def test_a_value_of_the_wrong_type_is_400_in_the_words_of_the_decoder(namespace: Namespace) -> None:
    wrong = deployment()
    wrong["spec"]["replicas"] = "three"
    body = body_of(namespace, "deployments", wrong, 400)
    assert (
        body["message"]
        == 'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal'
        " string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


def test_an_unknown_field_is_dropped_with_a_warning_and_refused_when_strict(
    namespace: Namespace,
) -> None:
    odd = deployment(replicas=0, replicsa=3)
    strict = body_of(namespace, "deployments", odd, 400, fieldValidation="Strict")
    assert 'strict decoding error: unknown field "spec.replicsa"' in strict["message"]
    answer = namespace.create("deployments", odd)
    assert answer.status_code == 201
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.replicsa\\""'
    assert "replicsa" not in answer.json()["spec"]


def test_the_selector_of_a_deployment_cannot_change(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=0))
    change = {
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}},
        }
    }
    answer = namespace.patch("deployments", "hello", MERGE, change)
    assert answer.status_code == 422
    assert "field is immutable" in answer.json()["message"]


def test_a_write_with_an_old_resource_version_is_409(namespace: Namespace) -> None:
    made = namespace.made("services", service())
    namespace.patched("services", "hello", MERGE, {"metadata": {"labels": {"seen": "yes"}}})
    answer = namespace.replace("services", "hello", made)
    assert answer.status_code == 409
    assert answer.json()["reason"] == "Conflict"
    assert (
        answer.json()["message"]
        == 'Operation cannot be fulfilled on services "hello": the object has been modified; please'
        " apply your changes to the latest version and try again"
    )
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert namespace.patch("services", "hello", MERGE, stale).status_code == 409


def test_a_failing_test_of_a_json_patch_is_422_and_changes_nothing(namespace: Namespace) -> None:
    made = namespace.made("deployments", deployment(replicas=0))
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": "another"},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
    ]
    answer = namespace.patch("deployments", "hello", JSON_PATCH, patch)
    assert answer.status_code == 422
    assert answer.json()["reason"] == "Invalid"
    assert (
        answer.json()["message"] == "the server rejected our request due to an error in our request"
    )
    assert namespace.read("deployments", "hello")["spec"] == made["spec"]


def test_an_unknown_patch_type_is_415(namespace: Namespace) -> None:
    namespace.made("services", service())
    answer = namespace.patch("services", "hello", "application/x-patch", {})
    assert answer.status_code == 415


def test_a_strategic_patch_without_its_merge_key_is_refused(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=0))
    body = {"spec": {"template": {"spec": {"containers": [{"image": "example/hello:2"}]}}}}
    answer = namespace.patch("deployments", "hello", STRATEGIC, body)
    assert answer.status_code == 500
    assert "does not contain declared merge key: name" in answer.json()["message"]


def test_an_unnamed_second_port_of_a_service_is_422(namespace: Namespace) -> None:
    body = body_of(namespace, "services", service(ports=[{"port": 80}, {"port": 81}]), 422)
    assert [cause["field"] for cause in body["details"]["causes"]] == [
        "spec.ports[0].name",
        "spec.ports[1].name",
    ]


def test_a_wrong_token_is_401(namespace: Namespace) -> None:
    answer = namespace.http.get("/api/v1/namespaces", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"


def test_selectors_that_cannot_be_parsed_are_400(namespace: Namespace) -> None:
    path = namespace.path("deployments")
    assert namespace.http.get(path, params={"labelSelector": "a foo b"}).status_code == 400
    answer = namespace.http.get(path, params={"fieldSelector": "spec.replicas=1"})
    assert answer.status_code == 400
    assert "is not a known field selector" in answer.json()["message"]
