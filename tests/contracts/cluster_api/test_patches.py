"""Patches: strategic merge, merge, JSON with tests, dry run."""

from __future__ import annotations

from tests.contracts.cluster_api.server import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Json,
    Namespace,
    deployment,
    service,
)


def container_of(body: Json, at: int = 0) -> Json:
    found: Json = body["spec"]["template"]["spec"]["containers"][at]
    return found


def test_a_strategic_patch_merges_containers_by_name_and_keeps_ports_and_env(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=0))
    patched = namespace.set_image("hello", "example/hello:2.0.0")
    container = container_of(patched)
    assert container["image"] == "example/hello:2.0.0"
    assert container["ports"] == [{"name": "http", "containerPort": 80, "protocol": "TCP"}]
    assert container["env"] == [{"name": "GREETING", "value": "hello"}]


def test_a_strategic_patch_merges_env_by_name_and_deletes_by_directive(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=0))
    env = [{"name": "PLACE", "value": "here"}, {"name": "GREETING", "$patch": "delete"}]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "hello", "env": env}]}}}}
    assert container_of(namespace.patched("deployments", "hello", STRATEGIC, body))["env"] == [
        {"name": "PLACE", "value": "here"}
    ]


def test_a_strategic_patch_puts_a_new_container_first_unless_an_order_is_given(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=0))
    side = {"name": "side", "image": "example/side:1"}
    body = {"spec": {"template": {"spec": {"containers": [side]}}}}
    first = namespace.patched("deployments", "hello", STRATEGIC, body)
    assert [item["name"] for item in first["spec"]["template"]["spec"]["containers"]] == [
        "side",
        "hello",
    ]
    order = [{"name": "hello"}, {"name": "side"}]
    body = {
        "spec": {"template": {"spec": {"containers": [side], "$setElementOrder/containers": order}}}
    }
    ordered = namespace.patched("deployments", "hello", STRATEGIC, body)
    assert [item["name"] for item in ordered["spec"]["template"]["spec"]["containers"]] == [
        "hello",
        "side",
    ]


def test_retained_keys_drop_the_rolling_parameters_when_the_strategy_becomes_recreate(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(replicas=0))
    body = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert namespace.patched("deployments", "hello", STRATEGIC, body)["spec"]["strategy"] == {
        "type": "Recreate"
    }


def test_replace_directives_replace_a_whole_map(namespace: Namespace) -> None:
    namespace.made("services", service())
    body = {"spec": {"selector": {"$patch": "replace", "app": "green"}}}
    patched = namespace.patched("services", "hello", STRATEGIC, body)
    assert patched["spec"]["selector"] == {"app": "green"}


def test_ports_of_a_service_are_merged_by_port(namespace: Namespace) -> None:
    namespace.made("services", service(ports=[{"name": "web", "port": 80}]))
    body = {"spec": {"ports": [{"name": "more", "port": 81}]}}
    ports = namespace.patched("services", "hello", STRATEGIC, body)["spec"]["ports"]
    assert sorted((port["name"], port["port"], port["targetPort"]) for port in ports) == [
        ("more", 81, 81),
        ("web", 80, 80),
    ]


def test_a_merge_patch_replaces_lists_and_null_removes(namespace: Namespace) -> None:
    body = deployment(replicas=0)
    body["metadata"]["annotations"] = {"note": "a", "other": "b"}
    namespace.made("deployments", body)
    patched = namespace.patched(
        "deployments", "hello", MERGE, {"metadata": {"annotations": {"note": None}}}
    )
    assert "note" not in patched["metadata"]["annotations"]
    assert patched["metadata"]["annotations"]["other"] == "b"
    replaced = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "hello", "image": "example/hello:2"}]}}
        }
    }
    assert "env" not in container_of(namespace.patched("deployments", "hello", MERGE, replaced))


def test_a_json_patch_with_passing_tests_is_applied_whole(namespace: Namespace) -> None:
    made = namespace.made("deployments", deployment(replicas=0))
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
        {
            "op": "test",
            "path": "/spec/template/spec/containers/0/image",
            "value": "example/hello:1.0.0",
        },
        {"op": "test", "path": "/spec/replicas", "value": 0},
        {
            "op": "replace",
            "path": "/spec/template/spec/containers/0/image",
            "value": "example/hello:2.0.0",
        },
        {
            "op": "add",
            "path": "/metadata/annotations",
            "value": {"pilothouse.dev/release": "hello-1"},
        },
    ]
    patched = namespace.patched("deployments", "hello", JSON_PATCH, patch)
    assert container_of(patched)["image"] == "example/hello:2.0.0"
    assert patched["metadata"]["annotations"]["pilothouse.dev/release"] == "hello-1"
    escaped = [
        {"op": "test", "path": "/metadata/annotations/pilothouse.dev~1release", "value": "hello-1"}
    ]
    assert namespace.patch("deployments", "hello", JSON_PATCH, escaped).status_code == 200


def test_a_json_test_for_null_accepts_a_missing_key_but_not_a_missing_parent(
    namespace: Namespace,
) -> None:
    namespace.made("services", service())
    missing = [{"op": "test", "path": "/metadata/labels", "value": None}]
    assert namespace.patch("services", "hello", JSON_PATCH, missing).status_code == 200
    deep = [{"op": "test", "path": "/metadata/labels/team/name", "value": None}]
    assert namespace.patch("services", "hello", JSON_PATCH, deep).status_code == 422
    gone = [{"op": "remove", "path": "/metadata/labels"}]
    assert namespace.patch("services", "hello", JSON_PATCH, gone).status_code == 422


def test_a_json_replace_of_a_missing_key_adds_it(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(replicas=0))
    patch = [{"op": "replace", "path": "/spec/paused", "value": True}]
    assert namespace.patched("deployments", "hello", JSON_PATCH, patch)["spec"]["paused"] is True


def test_a_json_test_of_a_selector_compares_the_whole_map(namespace: Namespace) -> None:
    namespace.made("services", service())
    swap = [
        {"op": "test", "path": "/spec/selector", "value": {"app": "hello"}},
        {"op": "replace", "path": "/spec/selector", "value": {"app": "hello-green"}},
    ]
    assert namespace.patched("services", "hello", JSON_PATCH, swap)["spec"]["selector"] == {
        "app": "hello-green"
    }
    assert namespace.patch("services", "hello", JSON_PATCH, swap).status_code == 422


def test_a_patch_that_changes_nothing_keeps_the_resource_version(namespace: Namespace) -> None:
    made = namespace.made("services", service())
    same = namespace.patched("services", "hello", MERGE, {"spec": {"selector": {"app": "hello"}}})
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_dry_run_returns_the_result_and_stores_nothing(namespace: Namespace) -> None:
    answer = namespace.create("services", service(), dryRun="All")
    assert answer.status_code == 201
    assert answer.json()["metadata"]["uid"]
    assert namespace.get("services", "hello").status_code == 404
    made = namespace.made("services", service())
    dry = namespace.patched(
        "services", "hello", MERGE, {"spec": {"selector": {"app": "x"}}}, dryRun="All"
    )
    assert dry["spec"]["selector"] == {"app": "x"}
    assert namespace.read("services", "hello")["spec"] == made["spec"]
    assert namespace.delete("services", "hello", {"dryRun": ["All"]}).status_code == 200
    assert namespace.get("services", "hello").status_code == 200
    invalid = namespace.patch(
        "services", "hello", MERGE, {"spec": {"sessionAffinity": "Nobody"}}, dryRun="All"
    )
    assert invalid.status_code == 422


def test_an_unknown_dry_run_is_refused(namespace: Namespace) -> None:
    answer = namespace.create("services", service(), dryRun="Some")
    assert answer.status_code == 422
    assert (
        answer.json()["message"]
        == 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported'
        ' values: "All"'
    )
