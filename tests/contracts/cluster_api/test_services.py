"""Services and their EndpointSlices."""

from __future__ import annotations

import httpx

from tests.contracts.cluster_api.server import (
    JSON_PATCH,
    MERGE,
    Json,
    Namespace,
    deployment,
    service,
    wait_for,
)


def slice_of(namespace: Namespace, name: str = "hello") -> Json:
    (found,) = wait_for(
        lambda: namespace.items(
            "endpointslices", labelSelector=f"kubernetes.io/service-name={name}"
        ),
        "a slice",
    )
    return found


def test_defaults_of_a_service(namespace: Namespace) -> None:
    spec = namespace.made("services", service())["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["clusterIP"].startswith("10.96.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["ports"] == [{"protocol": "TCP", "port": 80, "targetPort": 80}]
    assert (spec["sessionAffinity"], spec["internalTrafficPolicy"]) == ("None", "Cluster")


def test_a_slice_holds_each_ready_pod_with_its_target(namespace: Namespace) -> None:
    namespace.made("services", service(ports=[{"port": 80, "targetPort": "http"}]))
    namespace.made("deployments", deployment(replicas=2))
    namespace.wait_complete("hello")
    wait_for(lambda: len(namespace.ready_addresses("hello")) == 2, "two ready addresses")
    found = slice_of(namespace)
    assert found["addressType"] == "IPv4"
    assert [port["port"] for port in found["ports"]] == [80]
    owner = found["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Service", "hello")
    for endpoint in found["endpoints"]:
        assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
        assert endpoint["targetRef"]["kind"] == "Pod"
        assert endpoint["nodeName"]


def test_pods_that_are_not_ready_are_listed_as_such(namespace: Namespace) -> None:
    namespace.made("services", service())
    namespace.made("deployments", deployment(image="example/hello:unready", replicas=1))

    def listed() -> Json | None:
        endpoints = slice_of(namespace).get("endpoints") or []
        return endpoints[0] if endpoints else None

    assert wait_for(listed, "an endpoint")["conditions"] == {
        "ready": False,
        "serving": False,
        "terminating": False,
    }


def test_the_slice_follows_the_selector_of_the_service(namespace: Namespace) -> None:
    namespace.made("services", service())
    namespace.made("deployments", deployment(replicas=1))
    namespace.made("deployments", deployment("hello-green", replicas=2))
    namespace.wait_complete("hello")
    namespace.wait_complete("hello-green")
    wait_for(lambda: len(namespace.ready_addresses("hello")) == 1, "one blue address")
    switch = [
        {"op": "test", "path": "/spec/selector", "value": {"app": "hello"}},
        {"op": "replace", "path": "/spec/selector", "value": {"app": "hello-green"}},
    ]
    namespace.patched("services", "hello", JSON_PATCH, switch)
    wait_for(lambda: len(namespace.ready_addresses("hello")) == 2, "two green addresses")
    assert all(name.startswith("hello-green-") for name in namespace.ready_addresses("hello"))


def test_a_terminating_pod_becomes_unready_before_it_is_gone(namespace: Namespace) -> None:
    namespace.made("services", service())
    body = deployment(replicas=1)
    body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5
    namespace.made("deployments", body)
    namespace.wait_complete("hello")
    wait_for(lambda: namespace.ready_addresses("hello"), "a ready address")
    (pod,) = namespace.ready_addresses("hello")
    version = namespace.listing("endpointslices")["metadata"]["resourceVersion"]
    namespace.delete("pods", pod)
    for event in namespace.watch("endpointslices", version):
        mine = [
            item
            for item in event["object"].get("endpoints") or ()
            if item["targetRef"]["name"] == pod
        ]
        if not mine or mine[0]["conditions"]["terminating"]:
            assert not mine or mine[0]["conditions"]["ready"] is False
            break


def test_a_service_without_a_match_has_no_addresses(namespace: Namespace) -> None:
    namespace.made("services", service())
    assert not (slice_of(namespace).get("endpoints") or [])


def test_a_deleted_service_takes_its_slices_along(namespace: Namespace) -> None:
    namespace.made("services", service())
    slice_of(namespace)
    namespace.delete("services", "hello")
    wait_for(lambda: not namespace.items("endpointslices"), "slices gone")


def refusal(namespace: Namespace, name: str) -> tuple[int, str] | None:
    """How the Service's proxy refuses; None where it passes the request on to a pod. Pods of the
    real control plane run nowhere, so there the connection to one fails or takes forever."""
    path = namespace.path("services", name, "proxy/version")
    try:
        answer = namespace.http.get(path, timeout=3)
    except httpx.ReadTimeout:
        return None
    is_status = answer.headers.get("content-type", "").startswith("application/json")
    if answer.is_success or not is_status or "error trying to reach service" in answer.text:
        return None
    return answer.status_code, answer.json()["message"]


def test_the_proxy_takes_a_named_port_by_name_or_number(namespace: Namespace) -> None:
    namespace.made("services", service(ports=[{"name": "http", "port": 80}]))
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    wait_for(lambda: refusal(namespace, "hello:http") is None, "a pod asked by the port's name")
    assert refusal(namespace, "hello:80") is None
    assert refusal(namespace, "http:hello:http") is None
    without = (503, 'no endpoints available for service "hello"')
    assert refusal(namespace, "hello") == without
    assert refusal(namespace, "hello:web") == (503, without[1].replace("hello", "hello:web"))
    assert refusal(namespace, "hello:81") == (503, 'no service port 81 found for service "hello"')


def test_the_proxy_takes_an_unnamed_port_by_number_or_by_default(namespace: Namespace) -> None:
    namespace.made("services", service())
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    wait_for(lambda: refusal(namespace, "hello:80") is None, "a pod asked by the port's number")
    assert refusal(namespace, "hello") is None
    assert refusal(namespace, "hello:http") == (
        503,
        'no endpoints available for service "hello:http"',
    )


def test_the_proxy_names_what_is_missing(namespace: Namespace) -> None:
    namespace.made("services", service(ports=[{"name": "http", "port": 80}]))
    nobody = (503, 'no endpoints available for service "hello"')
    wait_for(lambda: refusal(namespace, "hello:http") == nobody, "no pod behind the Service")
    assert refusal(namespace, "nothing") == (404, 'services "nothing" not found')
    assert refusal(namespace, "nothing:80") == (404, 'services "nothing" not found')
    assert refusal(namespace, "ftp:hello:80") == (400, 'invalid service request "ftp:hello:80"')


def test_session_affinity_sets_its_timeout_and_leaves_nothing_behind(namespace: Namespace) -> None:
    before = namespace.made("services", service())["spec"]
    sticky = namespace.patched(
        "services", "hello", MERGE, {"spec": {"sessionAffinity": "ClientIP"}}
    )
    assert sticky["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    plain = {"spec": {"sessionAffinity": "None", "sessionAffinityConfig": None}}
    assert namespace.patched("services", "hello", MERGE, plain)["spec"] == before


def test_a_load_balancer_gets_node_ports_and_the_cluster_policy(namespace: Namespace) -> None:
    spec = namespace.made("services", service(type="LoadBalancer"))["spec"]
    assert spec["externalTrafficPolicy"] == "Cluster"
    assert spec["allocateLoadBalancerNodePorts"] is True
    assert 30000 <= spec["ports"][0]["nodePort"] <= 32767


def test_the_cluster_ip_cannot_change(namespace: Namespace) -> None:
    namespace.made("services", service())
    answer = namespace.patch("services", "hello", MERGE, {"spec": {"clusterIP": "10.96.0.99"}})
    assert answer.status_code == 422


def test_a_headless_service_has_no_address_and_marks_its_slices(namespace: Namespace) -> None:
    assert namespace.made("services", service(clusterIP="None"))["spec"]["clusterIPs"] == ["None"]
    assert "service.kubernetes.io/headless" in slice_of(namespace)["metadata"]["labels"]


def test_a_secret_stores_its_texts_encoded(namespace: Namespace) -> None:
    made = namespace.made("secrets", {"metadata": {"name": "keys"}, "stringData": {"a": "text"}})
    assert made["data"] == {"a": "dGV4dA=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"
