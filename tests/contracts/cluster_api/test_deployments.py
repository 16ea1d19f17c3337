"""Deployments: ownership, revisions, conditions, pausing, undo."""

from __future__ import annotations

from tests.contracts.cluster_api.server import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Json,
    Namespace,
    condition,
    deployment,
    revision,
    wait_for,
)

HASH = "pod-template-hash"


def wait_sets(namespace: Namespace, name: str, count: int) -> list[Json]:
    def probe() -> list[Json] | None:
        found = namespace.owned_sets(namespace.read("deployments", name))
        return found if len(found) == count else None

    return wait_for(probe, f"{count} ReplicaSets of {name}")


def test_defaults_are_filled_in(namespace: Namespace) -> None:
    made = namespace.made("deployments", deployment(replicas=0))
    spec = made["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    container = spec["template"]["spec"]["containers"][0]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["ports"] == [{"name": "http", "containerPort": 80, "protocol": "TCP"}]
    assert made["metadata"]["generation"] == 1


def test_quantities_are_written_back_in_their_canonical_form(namespace: Namespace) -> None:
    body = deployment(replicas=0)
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "limits": {"cpu": 0.2, "memory": "1024Mi"}
    }
    made = namespace.made("deployments", body)
    assert made["spec"]["template"]["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "200m", "memory": "1Gi"}
    }


def test_pods_belong_to_a_replicaset_of_the_deployment(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=2))
    made = namespace.wait_complete("hello")
    (item,) = namespace.owned_sets(made)
    owner = item["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == (
        "Deployment",
        True,
        True,
    )
    template_hash = item["metadata"]["labels"][HASH]
    assert item["metadata"]["name"] == f"hello-{template_hash}"
    assert item["spec"]["selector"]["matchLabels"] == {"app": "hello", HASH: template_hash}
    pods = namespace.owned_pods(item)
    assert len(pods) == 2
    for pod in pods:
        assert pod["metadata"]["labels"] == {"app": "hello", HASH: template_hash}
        assert pod["metadata"]["name"].startswith(f"hello-{template_hash}-")
        assert pod["spec"]["nodeName"]


def test_revisions_increase_on_the_deployment_and_its_replicasets(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    assert revision(namespace.wait_complete("hello")) == 1
    namespace.set_image("hello", "example/hello:2.0.0")
    rolled = namespace.wait_complete("hello")
    assert revision(rolled) == 2
    assert [revision(item) for item in namespace.owned_sets(rolled)] == [1, 2]


def test_undo_to_an_old_template_reuses_its_replicaset_under_a_new_revision(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    first = namespace.owned_sets(namespace.wait_complete("hello"))[0]["metadata"]["name"]
    namespace.set_image("hello", "example/hello:2.0.0")
    namespace.wait_complete("hello")
    namespace.set_image("hello", "example/hello:1.0.0")
    undone = namespace.wait_complete("hello")
    sets = {item["metadata"]["name"]: item for item in namespace.owned_sets(undone)}
    assert len(sets) == 2
    assert revision(sets[first]) == 3 == revision(undone)
    assert (
        sets[first]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    )
    assert sets[first]["spec"]["replicas"] == 1


def test_replicasets_beyond_the_history_limit_are_deleted_oldest_first(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1, revisionHistoryLimit=1))
    namespace.wait_complete("hello")
    for number in (2, 3, 4):
        namespace.set_image("hello", f"example/hello:{number}.0.0")
        namespace.wait_complete("hello")
    assert [revision(item) for item in wait_sets(namespace, "hello", 2)] == [3, 4]


def test_annotations_of_the_deployment_are_copied_to_its_newest_replicaset(
    namespace: Namespace,
) -> None:
    body = deployment(replicas=1)
    body["metadata"]["annotations"] = {"kubernetes.io/change-cause": "first"}
    namespace.made("deployments", body)
    namespace.wait_complete("hello")
    change = {
        "metadata": {"annotations": {"kubernetes.io/change-cause": "second"}},
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "hello", "image": "example/hello:2.0.0"}]}
            }
        },
    }
    namespace.patched("deployments", "hello", STRATEGIC, change)
    sets = namespace.owned_sets(namespace.wait_complete("hello"))
    causes = [item["metadata"]["annotations"]["kubernetes.io/change-cause"] for item in sets]
    assert causes == ["first", "second"]


def test_an_annotation_patched_before_the_template_changes_the_previous_revision(
    namespace: Namespace,
) -> None:
    body = deployment(replicas=1)
    body["metadata"]["annotations"] = {"kubernetes.io/change-cause": "first"}
    namespace.made("deployments", body)
    namespace.wait_complete("hello")
    namespace.patched(
        "deployments",
        "hello",
        MERGE,
        {"metadata": {"annotations": {"kubernetes.io/change-cause": "second"}}},
    )

    def overwritten() -> bool:
        (item,) = namespace.owned_sets(namespace.read("deployments", "hello"))
        return bool(item["metadata"]["annotations"]["kubernetes.io/change-cause"] == "second")

    wait_for(overwritten, "the annotation copied to the only ReplicaSet")


def test_a_complete_deployment_shows_in_its_conditions(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1))
    made = namespace.wait_complete("hello")

    def settled() -> Json | None:
        found = namespace.read("deployments", "hello")
        return (
            found
            if condition(found, "Progressing").get("reason") == "NewReplicaSetAvailable"
            else None
        )

    made = wait_for(settled, "Progressing NewReplicaSetAvailable")
    assert condition(made, "Available")["reason"] == "MinimumReplicasAvailable"
    assert condition(made, "Available")["message"] == "Deployment has minimum availability."
    name = namespace.owned_sets(made)[0]["metadata"]["name"]
    assert (
        condition(made, "Progressing")["message"]
        == f'ReplicaSet "{name}" has successfully progressed.'
    )
    assert condition(made, "Progressing")["status"] == "True"


def test_a_stuck_roll_exceeds_its_deadline(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1, progressDeadlineSeconds=1))
    namespace.wait_complete("hello")
    namespace.set_image("hello", "example/hello:unready")

    def late() -> Json | None:
        found = namespace.read("deployments", "hello")
        return (
            found
            if condition(found, "Progressing").get("reason") == "ProgressDeadlineExceeded"
            else None
        )

    stuck = wait_for(late, "ProgressDeadlineExceeded")
    assert condition(stuck, "Progressing")["status"] == "False"
    assert "has timed out progressing." in condition(stuck, "Progressing")["message"]
    assert condition(stuck, "Available")["status"] == "True"


def test_a_deployment_without_ready_pods_is_not_available(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(image="example/hello:unready", replicas=1))
    made = wait_for(
        lambda: (
            found
            if condition(found := namespace.read("deployments", "hello"), "Available")
            else None
        ),
        "Available",
    )
    assert condition(made, "Available")["status"] == "False"
    assert condition(made, "Available")["reason"] == "MinimumReplicasUnavailable"
    assert (
        condition(made, "Available")["message"] == "Deployment does not have minimum availability."
    )


def test_a_paused_deployment_does_not_roll_until_resumed(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=2))
    namespace.wait_complete("hello")
    namespace.patched("deployments", "hello", MERGE, {"spec": {"paused": True}})

    def reason(wanted: str) -> Json:
        def probe() -> Json | None:
            found = namespace.read("deployments", "hello")
            return found if condition(found, "Progressing").get("reason") == wanted else None

        return wait_for(probe, f"Progressing {wanted}")

    paused = reason("DeploymentPaused")
    assert condition(paused, "Progressing")["status"] == "Unknown"
    assert condition(paused, "Progressing")["message"] == "Deployment is paused"
    namespace.set_image("hello", "example/hello:2.0.0")
    observed = namespace.wait_observed("hello")
    assert len(namespace.owned_sets(observed)) == 1
    assert observed["status"].get("updatedReplicas", 0) == 0
    namespace.patched(
        "deployments", "hello", JSON_PATCH, [{"op": "remove", "path": "/spec/paused"}]
    )
    assert len(namespace.owned_sets(namespace.wait_complete("hello"))) == 2


def test_paused_is_never_stored_as_false(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=0, paused=False))
    assert "paused" not in namespace.read("deployments", "hello")["spec"]
    said_false = [{"op": "test", "path": "/spec/paused", "value": False}]
    assert namespace.patch("deployments", "hello", JSON_PATCH, said_false).status_code == 422
    said_null = [{"op": "test", "path": "/spec/paused", "value": None}]
    assert namespace.patch("deployments", "hello", JSON_PATCH, said_null).status_code == 200


def test_recreate_ends_every_old_pod_before_the_first_new_one(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=2, strategy={"type": "Recreate"}))
    made = namespace.wait_complete("hello")
    version = namespace.listing("pods")["metadata"]["resourceVersion"]
    old = {pod["metadata"]["name"] for pod in namespace.owned_pods(namespace.owned_sets(made)[0])}
    namespace.set_image("hello", "example/hello:2.0.0")
    gone: set[str] = set()
    for event in namespace.watch("pods", version):
        name = event["object"]["metadata"]["name"]
        if event["type"] == "DELETED" and name in old:
            gone.add(name)
        if event["type"] == "ADDED" and name not in old:
            break
    assert gone == old
    namespace.wait_complete("hello")


def test_generation_follows_spec_and_annotations_but_not_labels_or_status(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=0))
    before = namespace.wait_observed("hello")["metadata"]["generation"]
    labelled = namespace.patched(
        "deployments", "hello", MERGE, {"metadata": {"labels": {"team": "a"}}}
    )
    assert labelled["metadata"]["generation"] == before
    annotated = namespace.patched(
        "deployments", "hello", MERGE, {"metadata": {"annotations": {"note": "a"}}}
    )
    assert annotated["metadata"]["generation"] == before + 1
    same = namespace.patched(
        "deployments", "hello", MERGE, {"metadata": {"annotations": {"note": "a"}}}
    )
    assert same["metadata"]["generation"] == before + 1
    namespace.patched("deployments", "hello", MERGE, {"spec": {"minReadySeconds": 1}})
    assert namespace.wait_observed("hello")["status"]["observedGeneration"] == before + 2


def test_available_waits_for_min_ready_seconds(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1, minReadySeconds=2))

    def ready() -> Json | None:
        found = namespace.read("deployments", "hello")
        return found if found["status"].get("readyReplicas") == 1 else None

    assert wait_for(ready, "ready")["status"].get("availableReplicas", 0) == 0
    namespace.wait_complete("hello")


def test_kubectl_style_restart_makes_a_new_revision_with_the_same_image(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    stamp = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2030-01-01T00:00:00Z"}}
    }
    namespace.patched("deployments", "hello", STRATEGIC, {"spec": {"template": stamp}})
    sets = namespace.owned_sets(namespace.wait_complete("hello"))
    assert [revision(item) for item in sets] == [1, 2]
    images = {item["spec"]["template"]["spec"]["containers"][0]["image"] for item in sets}
    assert images == {"example/hello:1.0.0"}
