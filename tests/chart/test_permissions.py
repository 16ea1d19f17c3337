from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.cluster.connect import ClusterAddress, Connection
from bot.cluster.permissions import NEEDED, missing_permissions
from sandbox.control_plane import ControlPlane
from tests.chart.conftest import CHART, Render, of_kind, only

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


def test_the_role_grants_everything_that_the_bot_needs(render: Render) -> None:
    assert needed() - grants(only(render(), "Role")) == set()


def test_the_role_grants_hardly_more_than_that(render: Render) -> None:
    spare = grants(only(render(), "Role")) - needed()
    # A person reads with these what `/get` shows; creating is what `/apply` does to an object that
    # is not there yet.
    assert {grant for grant in spare if grant[2] not in ("get", "list", "watch")} <= {
        ("", "configmaps", "create"),
        ("", "secrets", "create"),
        ("apps", "deployments/scale", "patch"),
    }
    everything = grants(only(render(), "Role")) | grants(only(render(), "ClusterRole"))
    assert not any("*" in grant for grant in everything)
    assert {
        grant for grant in everything if "exec" in grant[1] or "rolebinding" in grant[1]
    } == set()


def test_without_apply_neither_secrets_nor_configmaps_can_be_read(render: Render) -> None:
    role = grants(only(render(rbac={"apply": False, "logs": False, "serviceProxy": False}), "Role"))
    assert {resource for _, resource, _ in role} & {
        "secrets",
        "configmaps",
        "pods/log",
        "services/proxy",
    } == set()


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


def test_it_installs_and_its_service_account_may_do_all_that_the_bot_does(
    control_plane: ControlPlane, namespace: str, installed: Callable[[dict[str, Any]], str]
) -> None:
    told = installed({"redis": {"persistence": {"enabled": False}}})
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
    small = {"redis": {"persistence": {"enabled": False}}}
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
