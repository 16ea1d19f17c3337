"""Who may do what: SelfSubjectAccessReview, RBAC of a service account, 403 in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.contracts.cluster_api.server import (
    JSON_PATCH,
    MERGE,
    ApiServer,
    Json,
    Namespace,
    deployment,
    wait_for,
)


def binding(namespace: str, role: str, kind: str = "Role") -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}],
    }


@pytest.fixture
def deployer(namespace: Namespace) -> Iterator[httpx.Client]:
    """A client that acts as a service account which may look at Deployments and patch them."""
    namespace.made("serviceaccounts", {"metadata": {"name": "deployer"}})
    rules = [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments"],
            "verbs": ["get", "list", "watch", "patch"],
        },
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get"]},
    ]
    namespace.made("roles", {"metadata": {"name": "deployer"}, "rules": rules})
    namespace.made("rolebindings", binding(namespace.name, "deployer"))
    path = namespace.path("serviceaccounts", "deployer", "token")
    answer = namespace.http.post(
        path, json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    )
    assert answer.status_code == 201, answer.text
    server = namespace.server
    acting = ApiServer(server.kind, server.url, answer.json()["status"]["token"], server.kubeconfig)
    with acting.client() as client:
        path = namespace.path("deployments")
        wait_for(lambda: client.get(path).status_code == 200, "the role binding takes effect")
        yield client


def review(client: httpx.Client, **attributes: str) -> bool:
    answer = client.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        json={"spec": {"resourceAttributes": attributes}},
    )
    assert answer.status_code == 201, answer.text
    return bool(answer.json()["status"]["allowed"])


def test_an_administrator_may_do_everything(namespace: Namespace) -> None:
    assert review(
        namespace.http,
        verb="delete",
        group="apps",
        resource="deployments",
        namespace=namespace.name,
    )


def test_a_review_decides_by_verb_resource_subresource_and_namespace(
    namespace: Namespace, deployer: httpx.Client
) -> None:
    where = {"group": "apps", "resource": "deployments", "namespace": namespace.name}
    assert review(deployer, verb="patch", **where)
    assert not review(deployer, verb="delete", **where)
    assert review(deployer, verb="get", subresource="scale", **where)
    assert not review(deployer, verb="update", subresource="scale", **where)
    assert not review(deployer, verb="patch", **{**where, "namespace": "default"})
    assert not review(deployer, verb="get", resource="secrets", namespace=namespace.name)


def test_a_forbidden_request_is_403_and_names_user_and_verb(
    namespace: Namespace, deployer: httpx.Client
) -> None:
    namespace.made("deployments", deployment(replicas=0))
    user = f"system:serviceaccount:{namespace.name}:deployer"
    answer = deployer.delete(namespace.path("deployments", "hello"))
    assert answer.status_code == 403
    assert answer.json()["reason"] == "Forbidden"
    assert (
        answer.json()["message"]
        == f'deployments.apps "hello" is forbidden: User "{user}" cannot delete resource'
        f' "deployments" in API group "apps" in the namespace "{namespace.name}"'
    )
    listed = deployer.get("/api/v1/nodes")
    assert (
        listed.json()["message"]
        == f'nodes is forbidden: User "{user}" cannot list resource "nodes" in API group "" at the'
        " cluster scope"
    )
    scaled = deployer.patch(
        namespace.path("deployments", "hello", "scale"),
        json={"spec": {"replicas": 1}},
        headers={"Content-Type": MERGE},
    )
    assert (
        'cannot patch resource "deployments/scale" in API group "apps" in the namespace'
        f' "{namespace.name}"' in (scaled.json()["message"])
    )


def test_an_allowed_request_works(namespace: Namespace, deployer: httpx.Client) -> None:
    namespace.made("deployments", deployment(replicas=0))
    answer = deployer.patch(
        namespace.path("deployments", "hello"),
        json=[{"op": "replace", "path": "/spec/replicas", "value": 0}],
        headers={"Content-Type": JSON_PATCH},
    )
    assert answer.status_code == 200


def test_discovery_and_openapi_are_open_to_every_known_caller(deployer: httpx.Client) -> None:
    for path in ("/version", "/api", "/apis", "/openapi/v3"):
        assert deployer.get(path).status_code == 200
