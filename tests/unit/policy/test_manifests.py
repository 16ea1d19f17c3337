"""What `/apply` may bring: the image rule of `/deploy`, and nothing beyond the app."""

from __future__ import annotations

from typing import Any

import pytest

from bot.policy.manifests import NamedBrought, brought_by, refusal_of_manifests
from bot.policy.permissions import Role
from tests.builders import REPOSITORY, a_target, a_template

DEPLOYER, ADMIN = {Role.DEPLOYER}, {Role.ADMIN}
TARGET = a_target(images=(REPOSITORY,))


def a_deployment(**spec: Any) -> dict[str, Any]:
    template = a_template()
    template["spec"] |= spec
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}


def secured(context: Any) -> dict[str, Any]:
    body = a_deployment()
    body["spec"]["template"]["spec"]["containers"][0]["securityContext"] = context
    return body


def refusal(body: Any, roles: Any, *, before: Any = None, of_cluster: bool = False) -> str:
    found = NamedBrought("Deployment default/other", brought_by(before, body), of_cluster)
    return refusal_of_manifests(TARGET, (found,), roles)


def test_an_image_of_the_app_is_applied() -> None:
    assert refusal(a_deployment(), DEPLOYER) == ""


@pytest.mark.parametrize("roles", [DEPLOYER, ADMIN])
@pytest.mark.parametrize("place", ["containers", "initContainers"])
def test_a_foreign_image_is_applied_by_nobody(roles: Any, place: str) -> None:
    body = a_deployment(**{place: [{"name": "x", "image": "evil/miner:1"}]})
    assert refusal(body, roles) == (
        f"Images of `evil/miner` are not allowed here. Allowed: {REPOSITORY}."
    )


def test_images_are_found_in_every_kind() -> None:
    pod = {"containers": [{"image": "evil/miner"}]}
    cron = {"jobTemplate": {"spec": {"template": {"spec": pod}}}}
    for body in (
        {"kind": "CronJob", "spec": cron},
        {"kind": "Pod", "spec": pod},
        {"kind": "PodTemplate", "template": {"spec": pod}},
        {"kind": "Custom", "spec": {"parts": [{"podSpec": pod}]}},
    ):
        assert "evil/miner" in refusal(body, ADMIN), body["kind"]


def test_a_sidecar_that_runs_already_is_nothing_new() -> None:
    body = a_deployment(initContainers=[{"name": "x", "image": "envoy/proxy:1"}])
    changed = a_deployment(initContainers=[{"name": "x", "image": "envoy/proxy:2"}])
    assert refusal(changed, DEPLOYER, before=body) == ""


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (secured({"privileged": True}), "privileged"),
        (secured({"capabilities": {"add": ["SYS_ADMIN"]}}), "capability SYS_ADMIN"),
        (a_deployment(hostNetwork=True), "hostNetwork"),
        (a_deployment(hostPID=True), "hostPID"),
        (a_deployment(serviceAccountName="cluster-admin"), "service account cluster-admin"),
        (a_deployment(volumes=[{"name": "x", "hostPath": {"path": "/"}}]), "hostPath /"),
        ({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}, "rights"),
    ],
)
def test_what_reaches_beyond_the_app_needs_an_admin(body: Any, word: str) -> None:
    line = refusal(body, DEPLOYER)
    assert line.startswith("Only an admin may apply what reaches beyond hello") and word in line
    assert refusal(body, ADMIN) == ""
    assert refusal(body, DEPLOYER, before=body) == "", "it reaches there already"


def test_an_object_of_the_whole_cluster_needs_an_admin() -> None:
    assert "belongs to the whole cluster" in refusal({"kind": "X"}, DEPLOYER, of_cluster=True)
    assert refusal({"kind": "X"}, ADMIN, of_cluster=True) == ""


def test_new_images_of_an_app_without_an_image_rule_need_an_admin() -> None:
    found = (NamedBrought("Deployment default/hello", brought_by(None, a_deployment())),)
    assert "no `images`" in refusal_of_manifests(a_target(images=()), found, DEPLOYER)
    assert refusal_of_manifests(a_target(images=()), found, ADMIN) == ""


@pytest.mark.parametrize("odd", [None, "x", 3, ["x"], [None], [{"image": ["x"]}]])
def test_odd_manifests_are_no_defect(odd: Any) -> None:
    body = {"spec": {"containers": odd, "initContainers": odd, "volumes": odd}}
    brought_by(body, {"spec": {"template": {"spec": body["spec"]}}, "apiVersion": odd})
