"""managedFields and server-side apply: who owns what, and what happens when two want it."""

from __future__ import annotations

from typing import Any

from tests.contracts.cluster_api.server import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Json,
    Namespace,
    deployment,
    service,
)


def owners(body: Json, *path: str) -> set[tuple[str, str, str]]:
    """(manager, operation, subresource) of everybody who owns the field."""
    found = set()
    for entry in body["metadata"].get("managedFields") or ():
        node: Any = entry["fieldsV1"]
        for element in path:
            node = node.get(element) if isinstance(node, dict) else None
        if node is not None:
            found.add((entry["manager"], entry["operation"], entry.get("subresource", "")))
    return found


REPLICAS = ("f:spec", "f:replicas")
IMAGE = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"hello"}', "f:image")


def test_the_manager_is_the_query_parameter_or_the_start_of_the_user_agent(
    namespace: Namespace,
) -> None:
    made = namespace.made("deployments", deployment(replicas=1))
    assert owners(made, *REPLICAS) == {("contract", "Update", "")}
    patched = namespace.set_image("hello", "example/hello:2.0.0", fieldManager="pilothouse")
    assert owners(patched, *IMAGE) == {("pilothouse", "Update", "")}
    assert owners(patched, *REPLICAS) == {("contract", "Update", "")}


def test_a_creation_owns_containers_maps_and_list_items_as_the_real_server_records_them(
    namespace: Namespace,
) -> None:
    made = namespace.made("services", service(), fieldManager="me")
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("me", "Update", "v1")
    assert entry["fieldsType"] == "FieldsV1"
    assert entry["fieldsV1"] == {
        "f:spec": {
            "f:internalTrafficPolicy": {},
            "f:ports": {
                ".": {},
                'k:{"port":80,"protocol":"TCP"}': {
                    ".": {},
                    "f:port": {},
                    "f:protocol": {},
                    "f:targetPort": {},
                },
            },
            "f:selector": {},
            "f:sessionAffinity": {},
            "f:type": {},
        }
    }


def test_scaling_shows_as_subresource_scale_and_zero_has_no_owner(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.patched(
        "deployments", "hello", MERGE, {"spec": {"replicas": 2}}, "scale", fieldManager="kubectl"
    )
    assert owners(namespace.read("deployments", "hello"), *REPLICAS) == {
        ("kubectl", "Update", "scale")
    }
    namespace.patched(
        "deployments", "hello", MERGE, {"spec": {"replicas": 0}}, "scale", fieldManager="kubectl"
    )
    assert owners(namespace.read("deployments", "hello"), *REPLICAS) == set()


def test_controllers_own_status_and_revision_through_the_status_subresource(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    made = namespace.wait_complete("hello")
    expected = {("kube-controller-manager", "Update", "status")}
    assert owners(made, "f:status", "f:readyReplicas") == expected
    assert (
        owners(made, "f:metadata", "f:annotations", "f:deployment.kubernetes.io/revision")
        == expected
    )


def test_an_apply_owns_what_it_sets_and_a_second_one_without_a_field_removes_it(
    namespace: Namespace,
) -> None:
    body = deployment(replicas=0)
    created = namespace.apply("deployments", body, "pilothouse-apply")
    assert created.status_code == 201
    assert owners(created.json(), *IMAGE) == {("pilothouse-apply", "Apply", "")}
    del body["spec"]["template"]["spec"]["containers"][0]["env"]
    again = namespace.apply("deployments", body, "pilothouse-apply")
    assert again.status_code == 200
    assert "env" not in again.json()["spec"]["template"]["spec"]["containers"][0]


def test_applying_the_same_again_changes_nothing(namespace: Namespace) -> None:
    created = namespace.apply("services", service(), "pilothouse-apply").json()
    again = namespace.apply("services", service(), "pilothouse-apply").json()
    assert again["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    assert again["metadata"]["managedFields"] == created["metadata"]["managedFields"]


def test_an_apply_against_our_own_update_manager_is_a_conflict_that_names_manager_and_field(
    namespace: Namespace,
) -> None:
    body = deployment(replicas=0)
    namespace.apply("deployments", body, "pilothouse-apply")
    namespace.set_image("hello", "example/hello:2.0.0", fieldManager="pilothouse")
    answer = namespace.apply("deployments", body, "pilothouse-apply")
    assert answer.status_code == 409
    field = '.spec.template.spec.containers[name="hello"].image'
    assert (
        answer.json()["message"]
        == f'Apply failed with 1 conflict: conflict with "pilothouse" using apps/v1: {field}'
    )
    assert answer.json()["reason"] == "Conflict"
    assert answer.json()["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "pilothouse" using apps/v1',
            "field": field,
        }
    ]


def test_several_conflicts_are_listed_by_manager(namespace: Namespace) -> None:
    namespace.apply("deployments", deployment(replicas=1), "first")
    body = deployment(replicas=2, image="example/hello:2.0.0")
    answer = namespace.apply("deployments", body, "second")
    assert answer.status_code == 409
    assert (
        answer.json()["message"]
        == 'Apply failed with 2 conflicts: conflicts with "first":\n- .spec.replicas\n-'
        ' .spec.template.spec.containers[name="hello"].image'
    )


def test_force_takes_over_the_field(namespace: Namespace) -> None:
    namespace.apply("deployments", deployment(replicas=0), "first")
    body = deployment(replicas=0, image="example/hello:2.0.0")
    forced = namespace.apply("deployments", body, "second", force="true")
    assert forced.status_code == 200
    assert owners(forced.json(), *IMAGE) == {("second", "Apply", "")}
    assert owners(forced.json(), *REPLICAS) == {("first", "Apply", ""), ("second", "Apply", "")}


def test_the_same_value_is_shared_without_a_conflict(namespace: Namespace) -> None:
    namespace.apply("deployments", deployment(replicas=0), "first")
    partial = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello"},
        "spec": {"replicas": 0},
    }
    shared = namespace.apply("deployments", partial, "second")
    assert shared.status_code == 200
    assert owners(shared.json(), *REPLICAS) == {("first", "Apply", ""), ("second", "Apply", "")}


def test_a_field_that_another_manager_still_owns_survives_being_left_out(
    namespace: Namespace,
) -> None:
    namespace.apply("deployments", deployment(replicas=0), "first")
    body = deployment(replicas=0)
    namespace.apply("deployments", body, "second")
    del body["spec"]["template"]["spec"]["containers"][0]["env"]
    kept = namespace.apply("deployments", body, "second").json()
    assert kept["spec"]["template"]["spec"]["containers"][0]["env"] == [
        {"name": "GREETING", "value": "hello"}
    ]


def test_an_apply_without_a_manager_or_with_an_unknown_field_is_refused(
    namespace: Namespace,
) -> None:
    nobody = namespace.patch("services", "hello", "application/apply-patch+yaml", service())
    assert nobody.status_code == 422
    assert "fieldManager: Required value: is required for apply patch" in nobody.json()["message"]
    odd = service()
    odd["spec"]["colour"] = "green"
    answer = namespace.apply("services", odd, "me")
    assert answer.status_code == 500
    assert ".spec.colour: field not declared in schema" in answer.json()["message"]


def test_a_dry_run_of_an_apply_shows_conflicts_and_stores_nothing(namespace: Namespace) -> None:
    namespace.apply("services", service(), "first")
    other = service(selector={"app": "other"})
    assert namespace.apply("services", other, "second", dryRun="All").status_code == 409
    forced = namespace.apply("services", other, "second", dryRun="All", force="true")
    assert forced.json()["spec"]["selector"] == {"app": "other"}
    assert namespace.read("services", "hello")["spec"]["selector"] == {"app": "hello"}


def test_every_kind_of_patch_by_one_manager_is_one_entry(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=0))
    change = {"spec": {"minReadySeconds": 1}}
    namespace.patched("deployments", "hello", STRATEGIC, change, fieldManager="pilothouse")
    namespace.patched(
        "deployments", "hello", MERGE, {"spec": {"paused": True}}, fieldManager="pilothouse"
    )
    patch = [{"op": "add", "path": "/spec/revisionHistoryLimit", "value": 3}]
    patched = namespace.patched(
        "deployments", "hello", JSON_PATCH, patch, fieldManager="pilothouse"
    )
    (entry,) = [
        item for item in patched["metadata"]["managedFields"] if item["manager"] == "pilothouse"
    ]
    assert entry["fieldsV1"] == {
        "f:spec": {"f:minReadySeconds": {}, "f:paused": {}, "f:revisionHistoryLimit": {}}
    }
