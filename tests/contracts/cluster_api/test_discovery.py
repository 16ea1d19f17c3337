"""Discovery and OpenAPI v3."""

from __future__ import annotations

import pytest

from tests.contracts.cluster_api.server import Json, Namespace, wait_for

REF = "#/components/schemas/"


@pytest.mark.parametrize(
    ("path", "plural", "kind", "short"),
    [
        ("/api/v1", "pods", "Pod", "po"),
        ("/api/v1", "services", "Service", "svc"),
        ("/apis/apps/v1", "deployments", "Deployment", "deploy"),
        ("/apis/apps/v1", "replicasets", "ReplicaSet", "rs"),
        ("/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa"),
        ("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb"),
    ],
)
def test_resources_have_names(
    namespace: Namespace, path: str, plural: str, kind: str, short: str
) -> None:
    resources = {item["name"]: item for item in namespace.http.get(path).json()["resources"]}
    assert resources[plural]["kind"] == kind
    assert resources[plural]["singularName"] == kind.lower()
    assert short in resources[plural]["shortNames"]
    assert resources[plural]["namespaced"] is True
    assert {"get", "list", "watch", "patch", "create", "delete"} <= set(resources[plural]["verbs"])


def test_aggregated_discovery_equals_discovery_by_group(
    namespace: Namespace,
) -> None:
    form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    for path in ("/api", "/apis"):
        answer = namespace.http.get(path, headers={"Accept": f"{form},application/json"})
        assert answer.headers["content-type"].replace(" ", "") == form
        found = answer.json()
        assert (found["kind"], found["apiVersion"]) == (
            "APIGroupDiscoveryList",
            "apidiscovery.k8s.io/v2",
        )
        for group in found["items"]:
            name = group["metadata"].get("name", "")
            for one in group["versions"]:
                root = f"/apis/{name}/{one['version']}" if name else f"/api/{one['version']}"
                apart = {
                    item["name"]: item for item in namespace.http.get(root).json()["resources"]
                }
                assert {entry["resource"] for entry in one["resources"]} == {
                    item for item in apart if "/" not in item
                }
                for entry in one["resources"]:
                    item = apart[entry["resource"]]
                    assert entry["responseKind"]["kind"] == item["kind"]
                    assert entry["singularResource"] == item["singularName"]
                    assert (entry["scope"] == "Namespaced") == item["namespaced"]
                    assert entry.get("shortNames", []) == item.get("shortNames", [])
                    assert sorted(entry["verbs"]) == sorted(item["verbs"])
                    subresources = {
                        name.partition("/")[2]
                        for name in apart
                        if name.startswith(f"{entry['resource']}/")
                    }
                    assert {
                        one["subresource"] for one in entry.get("subresources", [])
                    } == subresources


def test_the_openapi_index_names_documents_by_hash(namespace: Namespace) -> None:
    paths = namespace.http.get("/openapi/v3").json()["paths"]
    url = paths["apis/apps/v1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/apps/v1?hash=")
    assert namespace.http.get(url).json()["openapi"].startswith("3.0")
    for name in ("api/v1", "apis/autoscaling/v2", "apis/policy/v1", "apis/networking.k8s.io/v1"):
        assert name in paths


def test_a_document_describes_fields_with_type_requirement_and_reference(
    namespace: Namespace,
) -> None:
    schemas = namespace.http.get("/openapi/v3/apis/apps/v1").json()["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert spec["type"] == "object"
    assert spec["required"] == ["selector", "template"]
    assert (spec["properties"]["replicas"]["type"], spec["properties"]["replicas"]["format"]) == (
        "integer",
        "int32",
    )
    assert spec["properties"]["replicas"]["description"].startswith("Number of desired pods.")
    template = spec["properties"]["template"]
    assert template["allOf"] == [{"$ref": f"{REF}io.k8s.api.core.v1.PodTemplateSpec"}]
    strategy = schemas["io.k8s.api.apps.v1.DeploymentStrategy"]["properties"]["type"]
    assert sorted(strategy["enum"]) == ["Recreate", "RollingUpdate"]
    kind = schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"]
    assert kind == [{"group": "apps", "kind": "Deployment", "version": "v1"}]


def test_a_document_names_the_kind_at_its_paths(namespace: Namespace) -> None:
    paths = namespace.http.get("/openapi/v3/apis/apps/v1").json()["paths"]
    path = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert path["get"]["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "kind": "Deployment",
        "version": "v1",
    }
    schema = path["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": f"{REF}io.k8s.api.apps.v1.Deployment"}


def test_a_custom_resource_is_served_once_its_definition_exists(
    namespace: Namespace,
) -> None:
    group = f"{namespace.name}.example.org"
    properties = {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {"size": {"type": "integer", "description": "How big."}},
        }
    }
    definition: Json = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boxes.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "boxes", "singular": "box", "kind": "Box", "listKind": "BoxList"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
                }
            ],
        },
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert namespace.http.post(definitions, json=definition).status_code == 201
    try:
        path = f"/apis/{group}/v1/namespaces/{namespace.name}/boxes"
        wait_for(lambda: namespace.http.get(path).status_code == 200, "the custom resource served")
        box = {
            "apiVersion": f"{group}/v1",
            "kind": "Box",
            "metadata": {"name": "one"},
            "spec": {"size": 3, "odd": 1},
        }

        def created() -> Json | None:
            answer = namespace.http.post(path, json=box)
            return answer.json() if answer.status_code == 201 else None

        made = wait_for(created, "a box")
        assert made["spec"] == {"size": 3}
        assert made["metadata"]["generation"] == 1

        def described() -> Json | None:
            answer = namespace.http.get(f"/openapi/v3/apis/{group}/v1")
            if answer.status_code != 200:
                return None
            found: Json = answer.json()["components"]["schemas"]
            return next((found[name] for name in found if name.endswith(".Box")), None)

        schema = wait_for(described, "the description of the custom resource")
        assert schema["properties"]["spec"]["properties"]["size"]["description"] == "How big."
    finally:
        namespace.http.delete(f"{definitions}/boxes.{group}")


def test_the_version_is_a_current_kubernetes(namespace: Namespace) -> None:
    found = namespace.http.get("/version").json()
    assert found["major"] == "1"
    assert found["gitVersion"].startswith(f"v1.{found['minor'].rstrip('+')}.")
