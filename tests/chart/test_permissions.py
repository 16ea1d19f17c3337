from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bot.cluster.connect import ClusterAddress, Connection
from bot.cluster.permissions import NEEDED, missing_permissions
from sandbox.control_plane import ControlPlane
from tests.chart.conftest import CHART, Render, of_kind, only, pods

pytestmark = pytest.mark.control_plane

Grants = set[tuple[str, str, str]]


def grants(role: dict[str, Any]) -> Grants:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def needed() -> Grants:
    return {(group, resource, verb) for group, resource, verbs in NEEDED for verb in verbs}


def test_the_role_grants_exactly_what_the_code_needs(render: Render) -> None:
    assert grants(only(render(), "Role")) == needed()


def test_every_rule_is_explained_on_the_page_of_permissions(render: Render) -> None:
    page = (CHART.parents[1] / "docs" / "reference" / "permissions.md").read_text()
    explained = {
        (resource.strip(), verb.strip())
        for row in page.split("## Kubernetes")[1].splitlines()
        if row.startswith("| ")
        for resource in row.split("|")[1].split(",")
        for verb in row.split("|")[2].split(",")
    }
    granted = {(resource, verb) for _, resource, verb in grants(only(render(), "Role"))}
    assert granted - explained == set()
    of_namespaces = {one for one in explained if one[0].islower() and " " not in one[0]}
    assert of_namespaces - granted == {
        ("selfsubjectaccessreviews", "create"),
        ("resource", "verbs"),
    }


def test_logs_and_probes_can_be_withheld(render: Render) -> None:
    role = grants(only(render(rbac={"logs": False, "serviceProxy": False}), "Role"))
    withheld = {"pods/log", "services/proxy", "pods/proxy"}
    assert {one for one in needed() if one[1] not in withheld} == role


def test_the_write_to_autoscalers_can_be_withheld(render: Render) -> None:
    role = grants(only(render(rbac={"autoscalers": False}), "Role"))
    assert needed() - role == {("autoscaling", "horizontalpodautoscalers", "patch")}
    assert role - needed() == set()


def test_apply_may_write_the_kinds_that_are_named(render: Render) -> None:
    role = grants(only(render(rbac={"apply": ["configmaps", "cronjobs.batch"]}), "Role"))
    assert role - needed() == {
        (group, resource, verb)
        for group, resource in (("", "configmaps"), ("batch", "cronjobs"))
        for verb in ("get", "create", "patch")
    }


def test_the_bot_has_no_rights_and_no_token(render: Render) -> None:
    rendered = render()
    bot, worker = (pods(rendered)[f"pilothouse-{name}"]["spec"] for name in ("bot", "worker"))
    assert bot["automountServiceAccountToken"] is False
    assert bot["serviceAccountName"] != worker["serviceAccountName"]
    bound = {
        subject["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for binding in of_kind(rendered, kind)
        for subject in binding["subjects"]
    }
    assert bound == {worker["serviceAccountName"]}


@pytest.mark.parametrize("socket_mode", [False, True])
def test_only_the_bot_holds_what_proves_that_a_request_is_slacks(
    render: Render, socket_mode: bool
) -> None:
    rendered = pods(render(slack={"socketMode": socket_mode}))
    files = {
        name: {
            item["path"]
            for volume in rendered[f"pilothouse-{name}"]["spec"]["volumes"]
            if volume["name"] == "slack"
            for item in volume["secret"]["items"]
        }
        for name in ("bot", "worker")
    }
    assert files["worker"] == {"bot-token"}
    assert files["bot"] == {"bot-token", "app-token" if socket_mode else "signing-secret"}


def test_outside_the_named_namespaces_only_the_cluster_s_identity_is_readable(
    render: Render,
) -> None:
    rendered = render(rbac={"namespaces": ["shop", "payments"]})
    assert {role["metadata"]["namespace"] for role in of_kind(rendered, "Role")} == {
        "shop",
        "payments",
    }
    rules = only(rendered, "ClusterRole")["rules"]
    assert {
        "apiGroups": [""],
        "resources": ["namespaces"],
        "resourceNames": ["kube-system"],
        "verbs": ["get"],
    } in rules
    assert {resource for rule in rules for resource in rule["resources"]} == {
        "namespaces",
        "selfsubjectaccessreviews",
    }


def test_extra_rules_are_granted_beside_the_others(render: Render) -> None:
    rule = {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["get", "create", "patch"]}
    assert rule in only(render(rbac={"extraRules": [rule]}), "Role")["rules"]


def test_kinds_of_the_whole_cluster_are_granted_only_where_they_are_named(render: Render) -> None:
    assert not {
        resource
        for _, resource, verb in grants(only(render(), "ClusterRole"))
        if verb in ("create", "patch")
    } & {"namespaces"}
    rule = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create", "patch"]}
    rendered = render(rbac={"extraClusterRules": [rule]})
    assert rule in only(rendered, "ClusterRole")["rules"]
    assert rule not in only(rendered, "Role")["rules"]


@pytest.fixture
def installed(
    control_plane: ControlPlane, namespace: str, values_file: Callable[[dict[str, Any]], str]
) -> Callable[[dict[str, Any]], str]:
    """Installs the chart with the real helm into the test's namespace."""

    def install(values: dict[str, Any]) -> str:
        control_plane.kubectl(
            "-n",
            namespace,
            "create",
            "secret",
            "generic",
            "pilothouse-slack",
            "--from-literal=bot-token=xoxb-1",
            "--from-literal=signing-secret=secret",
        )
        return control_plane.helm(
            "install",
            "pilothouse",
            str(CHART),
            "--namespace",
            namespace,
            "--values",
            values_file(values),
            "--wait",
            "--timeout",
            "60s",
        )

    return install


def small_in(namespace: str) -> dict[str, Any]:
    """Without a volume, and with its roles where it is: the catalog's namespaces do not exist."""
    return {"redis": {"persistence": {"enabled": False}}, "rbac": {"namespaces": [namespace]}}


def test_it_installs_and_its_service_account_may_do_all_that_the_bot_does(
    control_plane: ControlPlane, namespace: str, installed: Callable[[dict[str, Any]], str]
) -> None:
    told = installed(small_in(namespace))
    assert "STATUS: deployed" in told
    assert "WARNING: redis.persistence is off" in told
    kubeconfig = control_plane.kubeconfig_for("pilothouse", namespace)
    connection = Connection(ClusterAddress(kubeconfig=str(kubeconfig), context="sandbox"))
    assert missing_permissions(connection, namespace) == ()
    assert any("in default" in line for line in missing_permissions(connection, "default"))
    control_plane.helm("uninstall", "pilothouse", "--namespace", namespace, "--wait")
    left = control_plane.kubectl(
        "-n", namespace, "get", "deployments,statefulsets,services,roles", "-o", "name"
    )
    assert left.strip() == ""


def test_upgrading_changes_the_pods_and_keeps_redis(
    control_plane: ControlPlane, namespace: str, installed: Callable[[dict[str, Any]], str],
    values_file: Callable[[dict[str, Any]], str],
) -> None:  # fmt: skip
    small = small_in(namespace)
    installed(small)
    read = (
        "-n",
        namespace,
        "get",
        "statefulset",
        "pilothouse-redis",
        "-o",
        "jsonpath={.metadata.uid} {.metadata.generation}",
    )
    before = control_plane.kubectl(*read)
    control_plane.helm(
        "upgrade", "pilothouse", str(CHART), "--namespace", namespace, "--wait", "--timeout", "60s",
        "--values", values_file({**small, "image": {"tag": "0.2.0"}}),
    )  # fmt: skip
    assert control_plane.kubectl(*read) == before
    image = control_plane.kubectl(
        "-n",
        namespace,
        "get",
        "deployment",
        "pilothouse-bot",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].image}",
    )
    assert image == "pilothouse:0.2.0"


def test_the_passwords_of_redis_are_made_once_and_kept_over_upgrade_and_rollback(
    control_plane: ControlPlane, namespace: str, installed: Callable[[dict[str, Any]], str],
    values_file: Callable[[dict[str, Any]], str],
) -> None:  # fmt: skip
    small = small_in(namespace)
    installed(small)
    read = ("-n", namespace, "get", "secret", "pilothouse-redis-users", "-o", "jsonpath={.data}")
    made = json.loads(control_plane.kubectl(*read))
    assert made.keys() == {"bot-password", "worker-password"}
    assert made["bot-password"] != made["worker-password"]
    values = values_file({**small, "image": {"tag": "0.2.0"}})
    for change in (
        ("upgrade", "pilothouse", str(CHART), "--values", values),
        ("rollback", "pilothouse", "1"),
    ):
        control_plane.helm(*change, "--namespace", namespace, "--wait", "--timeout", "60s")
        assert json.loads(control_plane.kubectl(*read)) == made
