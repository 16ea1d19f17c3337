"""ResourceQuota, PodDisruptionBudget, HorizontalPodAutoscaler."""

from __future__ import annotations

from tests.contracts.cluster_api.server import Json, Namespace, condition, deployment, wait_for


def budget(**spec: object) -> Json:
    return {
        "metadata": {"name": "hello"},
        "spec": {"selector": {"matchLabels": {"app": "hello"}}, **spec},
    }


def test_a_quota_counts_pods_and_refuses_an_excess(namespace: Namespace) -> None:
    namespace.made(
        "resourcequotas", {"metadata": {"name": "limit"}, "spec": {"hard": {"pods": "2"}}}
    )
    wait_for(
        lambda: namespace.read("resourcequotas", "limit")["status"].get("used"), "quota status"
    )
    namespace.made("deployments", deployment(replicas=3))

    def used() -> bool:
        return bool(namespace.read("resourcequotas", "limit")["status"]["used"] == {"pods": "2"})

    wait_for(used, "two pods used")

    def failed() -> Json | None:
        found = namespace.read("deployments", "hello")
        return found if condition(found, "ReplicaFailure") else None

    failure = condition(wait_for(failed, "ReplicaFailure"), "ReplicaFailure")
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert (
        "is forbidden: exceeded quota: limit, requested: pods=1, used: pods=2, limited: pods=2"
        in failure["message"]
    )


def test_a_pod_over_a_quota_or_without_a_request_is_403(namespace: Namespace) -> None:
    namespace.made(
        "resourcequotas", {"metadata": {"name": "limit"}, "spec": {"hard": {"requests.cpu": "1"}}}
    )
    wait_for(
        lambda: namespace.read("resourcequotas", "limit")["status"].get("used"), "quota status"
    )
    container: Json = {"name": "a", "image": "example/hello:1"}
    bare = namespace.create(
        "pods", {"metadata": {"name": "bare"}, "spec": {"containers": [container]}}
    )
    assert bare.status_code == 403
    assert (
        bare.json()["message"]
        == 'pods "bare" is forbidden: failed quota: limit: must specify requests.cpu for: a'
    )
    container["resources"] = {"requests": {"cpu": "2"}}
    big = namespace.create(
        "pods", {"metadata": {"name": "big"}, "spec": {"containers": [container]}}
    )
    assert (
        big.json()["message"]
        == 'pods "big" is forbidden: exceeded quota: limit, requested: requests.cpu=2, used:'
        " requests.cpu=0, limited: requests.cpu=1"
    )


def test_a_budget_counts_healthy_pods(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=3))
    namespace.made("poddisruptionbudgets", budget(minAvailable=2))
    namespace.wait_complete("hello")

    def counted() -> Json | None:
        status: Json = namespace.read("poddisruptionbudgets", "hello")["status"]
        return status if status.get("currentHealthy") == 3 else None

    status = wait_for(counted, "three healthy")
    assert (status["disruptionsAllowed"], status["desiredHealthy"], status["expectedPods"]) == (
        1,
        2,
        3,
    )


def test_a_budget_in_percent_counts_the_replicas_of_the_owner(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=3))
    namespace.made("poddisruptionbudgets", budget(maxUnavailable="50%"))
    namespace.wait_complete("hello")

    def counted() -> Json | None:
        status: Json = namespace.read("poddisruptionbudgets", "hello")["status"]
        return status if status.get("currentHealthy") == 3 else None

    status = wait_for(counted, "three healthy")
    assert (status["disruptionsAllowed"], status["desiredHealthy"]) == (2, 1)


def test_an_eviction_that_a_budget_forbids_is_429(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.made("poddisruptionbudgets", budget(minAvailable=1))
    (item,) = namespace.owned_sets(namespace.wait_complete("hello"))
    (pod,) = namespace.owned_pods(item)

    def counted() -> bool:
        return bool(
            namespace.read("poddisruptionbudgets", "hello")["status"].get("currentHealthy") == 1
        )

    wait_for(counted, "one healthy")
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    answer = namespace.http.post(namespace.path("pods", name, "eviction"), json=body)
    assert answer.status_code == 429
    assert (
        answer.json()["message"]
        == "Cannot evict pod as it would violate the pod's disruption budget."
    )
    assert (
        answer.json()["details"]["causes"][0]["message"]
        == "The disruption budget hello needs 1 healthy pods and has 1 currently"
    )


def test_an_autoscaler_lifts_its_target_to_the_lower_bound(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    spec = {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 4}
    made = namespace.made("horizontalpodautoscalers", {"metadata": {"name": "hello"}, "spec": spec})
    assert made["spec"]["metrics"] == [
        {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 80},
            },
        }
    ]
    wait_for(
        lambda: namespace.read("deployments", "hello")["spec"]["replicas"] == 2,
        "two replicas",
        seconds=40,
    )


def test_an_unschedulable_pod_has_a_reason(namespace: Namespace) -> None:
    container = {
        "name": "a",
        "image": "example/hello:1",
        "resources": {"requests": {"cpu": "1000"}},
    }
    namespace.made("pods", {"metadata": {"name": "giant"}, "spec": {"containers": [container]}})

    def refused() -> Json | None:
        return condition(namespace.read("pods", "giant"), "PodScheduled") or None

    found = wait_for(refused, "PodScheduled")
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    assert found["message"].startswith("0/3 nodes are available: 3 Insufficient cpu.")
    selector = "involvedObject.name=giant,reason=FailedScheduling"
    wait_for(lambda: namespace.items("events", fieldSelector=selector), "a FailedScheduling event")
