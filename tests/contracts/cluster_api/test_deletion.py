"""Deletion: propagation policies, preconditions, finalizers, namespaces."""

from __future__ import annotations

from tests.contracts.cluster_api.server import MERGE, Json, Namespace, deployment, service, wait_for


def gone(namespace: Namespace, plural: str, name: str) -> None:
    wait_for(lambda: namespace.get(plural, name).status_code == 404, f"{plural} {name} gone")


def owner_kinds(obj: Json) -> list[str]:
    return [item["kind"] for item in obj["metadata"].get("ownerReferences") or ()]


def test_background_deletion_succeeds_at_once_and_removes_dependents_later(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    made = namespace.wait_complete("hello")
    answer = namespace.delete("deployments", "hello", {"propagationPolicy": "Background"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "Success"
    assert answer.json()["details"] == {
        "name": "hello",
        "group": "apps",
        "kind": "deployments",
        "uid": made["metadata"]["uid"],
    }
    assert namespace.get("deployments", "hello").status_code == 404
    wait_for(lambda: not namespace.items("replicasets"), "ReplicaSets gone")
    wait_for(lambda: not namespace.items("pods"), "pods gone")


def test_foreground_deletion_keeps_the_owner_until_its_dependents_are_gone(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    answer = namespace.delete("deployments", "hello", {"propagationPolicy": "Foreground"})
    body = answer.json()
    assert body["kind"] == "Deployment"
    assert body["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert body["metadata"]["deletionTimestamp"]
    gone(namespace, "deployments", "hello")
    assert not namespace.items("replicasets")


def test_orphaning_deletion_leaves_replicasets_and_pods_behind(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1))
    (item,) = namespace.owned_sets(namespace.wait_complete("hello"))
    namespace.delete("deployments", "hello", {"propagationPolicy": "Orphan"})
    gone(namespace, "deployments", "hello")
    orphan = namespace.read("replicasets", item["metadata"]["name"])
    assert owner_kinds(orphan) == []
    assert len(namespace.owned_pods(orphan)) == 1


def test_an_orphaned_replicaset_is_adopted_by_another_deployment_whose_selector_matches(
    namespace: Namespace,
) -> None:
    """What makes an orphaning delete of a canary dangerous: stable takes its ReplicaSet over and
    scales it away."""
    namespace.made("deployments", deployment(replicas=2))
    namespace.wait_complete("hello")
    canary = deployment("hello-canary", "example/hello:2.0.0", replicas=1)
    labels = {"app": "hello", "track": "canary"}
    canary["spec"]["selector"]["matchLabels"] = labels
    canary["spec"]["template"]["metadata"]["labels"] = labels
    namespace.made("deployments", canary)
    (item,) = namespace.owned_sets(namespace.wait_complete("hello-canary"))
    namespace.delete("deployments", "hello-canary", {"propagationPolicy": "Orphan"})
    stable = namespace.read("deployments", "hello")

    def adopted() -> bool:
        found = namespace.read("replicasets", item["metadata"]["name"])
        owners = found["metadata"].get("ownerReferences") or [{}]
        return bool(
            owners[0].get("uid") == stable["metadata"]["uid"] and found["spec"]["replicas"] == 0
        )

    wait_for(adopted, "the canary's ReplicaSet adopted and scaled to 0 by stable")


def test_an_orphaned_pod_is_adopted_by_a_replicaset_whose_selector_matches(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=2))
    (item,) = namespace.owned_sets(namespace.wait_complete("hello"))
    pod = namespace.owned_pods(item)[0]["metadata"]["name"]
    namespace.patched("pods", pod, MERGE, {"metadata": {"labels": {"app": "aside"}}})
    wait_for(lambda: owner_kinds(namespace.read("pods", pod)) == [], "the relabelled pod released")

    def replaced() -> bool:
        return len(namespace.owned_pods(item)) == 2

    wait_for(replaced, "a replacement pod")
    namespace.patched("pods", pod, MERGE, {"metadata": {"labels": {"app": "hello"}}})

    def settled() -> bool:
        live = [
            found
            for found in namespace.owned_pods(item)
            if "deletionTimestamp" not in found["metadata"]
        ]
        return len(live) == 2 and len(namespace.items("pods", labelSelector="app=hello")) == 2

    wait_for(settled, "two pods again after adoption")


def test_a_failed_uid_precondition_is_409(namespace: Namespace) -> None:
    made = namespace.made("deployments", deployment(replicas=0))
    answer = namespace.delete("deployments", "hello", {"preconditions": {"uid": "another"}})
    assert answer.status_code == 409
    uid = made["metadata"]["uid"]
    assert (
        answer.json()["message"]
        == 'Operation cannot be fulfilled on Deployment.apps "hello": the UID in the precondition'
        f" (another) does not match the UID in record ({uid}). The object might have been"
        " deleted and then recreated"
    )
    assert (
        namespace.delete("deployments", "hello", {"preconditions": {"uid": uid}}).status_code == 200
    )


def test_an_object_with_a_finalizer_waits_for_it(namespace: Namespace) -> None:
    body = service()
    body["metadata"]["finalizers"] = ["example.com/hold"]
    namespace.made("services", body)
    answer = namespace.delete("services", "hello")
    assert answer.json()["metadata"]["deletionTimestamp"]
    assert namespace.read("services", "hello")["metadata"]["finalizers"] == ["example.com/hold"]
    namespace.patched("services", "hello", MERGE, {"metadata": {"finalizers": None}})
    gone(namespace, "services", "hello")


def test_a_pod_terminates_with_a_deletion_timestamp_and_is_replaced(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1))
    (item,) = namespace.owned_sets(namespace.wait_complete("hello"))
    (pod,) = namespace.owned_pods(item)
    answer = namespace.delete("pods", pod["metadata"]["name"])
    body = answer.json()
    assert (body["kind"], body["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 1)
    gone(namespace, "pods", pod["metadata"]["name"])
    namespace.wait_complete("hello")


def test_a_pod_deleted_without_grace_is_gone_at_once(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1))
    (item,) = namespace.owned_sets(namespace.wait_complete("hello"))
    name = namespace.owned_pods(item)[0]["metadata"]["name"]
    namespace.delete("pods", name, {"gracePeriodSeconds": 0})
    assert namespace.get("pods", name).status_code == 404


def test_a_collection_is_deleted_by_selector(namespace: Namespace) -> None:
    for name, colour in (("one", "blue"), ("two", "blue"), ("three", "green")):
        body = {"metadata": {"name": name, "labels": {"colour": colour}}}
        namespace.made("configmaps", body)
    answer = namespace.http.delete(
        namespace.path("configmaps"), params={"labelSelector": "colour=blue"}
    )
    assert answer.status_code == 200
    left = [
        item["metadata"]["name"] for item in namespace.items("configmaps", labelSelector="colour")
    ]
    assert left == ["three"]


def test_a_terminating_namespace_accepts_nothing_and_takes_its_contents_along(
    namespace: Namespace,
) -> None:
    name = f"{namespace.name}-inner"
    namespace.http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
    inner = Namespace(namespace.server, name)
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    inner.made("configmaps", held)
    answer = namespace.http.delete(f"/api/v1/namespaces/{name}")
    assert answer.json()["status"]["phase"] == "Terminating"
    refused = inner.create("configmaps", {"metadata": {"name": "late"}})
    assert refused.status_code == 403
    assert "because it is being terminated" in refused.json()["message"]
    wait_for(
        lambda: inner.get("configmaps", "held").json()["metadata"].get("deletionTimestamp"),
        "the map terminating",
    )
    inner.patched("configmaps", "held", MERGE, {"metadata": {"finalizers": None}})
    wait_for(
        lambda: namespace.http.get(f"/api/v1/namespaces/{name}").status_code == 404,
        "the namespace gone",
    )
