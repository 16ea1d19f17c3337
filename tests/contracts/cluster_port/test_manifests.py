from __future__ import annotations

import base64
import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.cluster import KubernetesCluster
from bot.cluster.errors import NotThere
from bot.ports import Applied, ClusterUnreachable, ObjectChange, Refused
from bot.releases.facts.actions import FieldChange, PatchDeployment, PatchService
from bot.releases.facts.intent import Field
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, deployment, service

SECRET_TEXT = "correct horse battery staple"


def secret(text: str = SECRET_TEXT) -> dict[str, Any]:
    data = {"tls.key": base64.b64encode(text.encode()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls-certs"},
        "type": "Opaque",
        "data": data,
    }


def config_map(text: str = "server {}\n") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "frontend"},
        "data": {"frontend.conf": text},
    }


def plan(lab: Lab, *manifests: dict[str, Any]) -> dict[str, ObjectChange]:
    return {change.kind: change for change in lab.cluster.plan_manifests(lab.target, manifests)}


def apply(lab: Lab, *manifests: dict[str, Any]) -> dict[str, ObjectChange]:
    return {change.kind: change for change in applied(lab, *manifests).changes}


def applied(
    lab: Lab,
    *manifests: dict[str, Any],
    may_write: Callable[[ObjectChange], bool] = lambda change: True,
) -> Applied:
    """Raises what stopped it."""
    result = lab.cluster.apply_manifests(
        lab.target, manifests, skip_template_of="hello", may_write=may_write
    )
    if result.why is not None:
        raise result.why
    return result


def test_a_plan_writes_nothing_until_it_is_applied(empty_lab: Lab) -> None:
    everything = (deployment(), service(), config_map(), secret())
    assert {kind: one.does for kind, one in plan(empty_lab, *everything).items()} == dict.fromkeys(
        ("Secret", "ConfigMap", "Service", "Deployment"), "create"
    )
    assert empty_lab.observe().stable is None
    apply(empty_lab, *everything)
    assert empty_lab.settled().replicas == 2
    assert {one.does for one in plan(empty_lab, *everything).values()} == {"unchanged"}


def test_the_live_image_and_replicas_are_kept(
    empty_lab: Lab,
) -> None:
    apply(empty_lab, deployment())
    uid = empty_lab.settled().uid
    empty_lab.cluster.apply(
        empty_lab.target, PatchDeployment("hello", uid, "", (FieldChange(Field.REPLICAS, 2, 3),))
    )
    before = empty_lab.settled()
    changed = deployment(replicas=9, minReadySeconds=1)
    container = changed["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "kelseyhightower/hello:9.9.9"
    container["env"][0]["value"] = "good morning"
    planned = plan(empty_lab, changed)["Deployment"]
    done = apply(empty_lab, changed)["Deployment"]
    assert planned == done
    after = empty_lab.stable()
    assert (after.replicas, after.min_ready_seconds, after.template) == (3, 1, before.template)
    wanted = copy.deepcopy(before.template)
    wanted["spec"]["containers"][0]["env"][0]["value"] = "good morning"
    assert done.template == wanted


def test_a_variable_removed_from_the_manifest_is_removed_even_after_a_release_wrote_it(
    empty_lab: Lab,
) -> None:
    apply(empty_lab, deployment())
    richer = deployment()
    richer["spec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": "EXTRA", "value": "1"}
    )
    change = apply(empty_lab, richer)["Deployment"]
    stable = empty_lab.stable()
    roll = FieldChange(Field.TEMPLATE, stable.template, change.template)
    empty_lab.cluster.apply(empty_lab.target, PatchDeployment("hello", stable.uid, "", (roll,)))
    assert plan(empty_lab, richer)["Deployment"].template is None
    assert plan(empty_lab, deployment())["Deployment"].template == stable.template


def test_the_values_of_a_secret_are_never_shown(empty_lab: Lab) -> None:
    def told(changes: dict[str, ObjectChange]) -> str:
        return "\n".join(changes["Secret"].diff)

    hidden = [
        SECRET_TEXT,
        base64.b64encode(SECRET_TEXT.encode()).decode(),
        base64.b64encode(b"another").decode(),
    ]
    created = told(apply(empty_lab, secret()))
    changed = told(plan(empty_lab, secret("another")))
    assert "tls.key" in created
    assert "*** (before)" in changed
    assert "*** (after)" in changed
    assert not any(text in created + changed for text in hidden)


def test_a_change_carries_secret_values_for_a_digest_and_prints_none(
    empty_lab: Lab,
) -> None:
    apply(empty_lab, secret())
    same, other = (plan(empty_lab, secret(text))["Secret"] for text in ("another", "a third"))
    assert same.diff == other.diff
    assert same.concealed == (secret_values(SECRET_TEXT), secret_values("another"))
    assert other.concealed == (secret_values(SECRET_TEXT), secret_values("a third"))
    assert secret_values("another")["data"]["tls.key"] not in repr(same)


def secret_values(text: str) -> dict[str, Any]:
    return {"data": secret(text)["data"]}


def test_a_rejected_secret_is_reported_without_its_values(empty_lab: Lab) -> None:
    wrong = {**secret(), "data": {"tls.key": f"not base64: {SECRET_TEXT}"}}
    with pytest.raises(Refused) as refusal:
        plan(empty_lab, wrong)
    assert SECRET_TEXT not in str(refusal.value)
    assert "tls-certs" in str(refusal.value)


def test_a_field_of_another_manager_is_a_conflict_and_nothing_is_applied(empty_lab: Lab) -> None:
    apply(empty_lab, service(), config_map())
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    empty_lab.edit("services", "hello", {"spec": {"ports": ports}}, manager="kubectl-edit")
    planned = plan(empty_lab, service(), config_map("changed\n"))
    assert planned["Service"].does == "conflict"
    assert planned["Service"].conflicts[0].startswith("kubectl-edit: .spec.ports")
    with pytest.raises(Refused, match="kubectl-edit"):
        apply(empty_lab, service(), config_map("changed\n"))
    assert empty_lab.read("configmaps", "frontend")["data"] == {"frontend.conf": "server {}\n"}


def test_an_unknown_field_is_refused_by_its_name(empty_lab: Lab) -> None:
    with pytest.raises(Refused, match="replicaz"):
        plan(empty_lab, deployment(replicaz=3))


def test_objects_outside_the_apps_namespace_are_refused(empty_lab: Lab) -> None:
    elsewhere = service()
    elsewhere["metadata"]["namespace"] = "kube-system"
    with pytest.raises(Refused, match="kube-system"):
        plan(empty_lab, elsewhere)
    with pytest.raises(Refused, match="belongs to the whole cluster"):
        plan(
            empty_lab,
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "other", "namespace": "other"},
            },
        )
    with pytest.raises(Refused, match="does not serve"):
        plan(
            empty_lab,
            {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "one"}},
        )


def namespace_object(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture
def nowhere(empty_lab: Lab) -> Iterator[Lab]:
    """An app whose namespace is not there yet."""
    lab = Lab(empty_lab.cluster, f"{empty_lab.namespace}-new", empty_lab.kubeconfig)
    yield lab
    with contextlib.suppress(NotThere):
        lab.cluster.connection.send("DELETE", f"/api/v1/namespaces/{lab.namespace}")


def test_a_namespace_is_created_before_its_objects(nowhere: Lab) -> None:
    everything = (deployment(), secret(), namespace_object(nowhere.namespace, team="shop"))
    planned = nowhere.cluster.plan_manifests(nowhere.target, everything)
    assert [(one.kind, one.does, one.namespace) for one in planned] == [
        ("Namespace", "create", ""),
        ("Secret", "create", nowhere.namespace),
        ("Deployment", "create", nowhere.namespace),
    ]
    assert not any(
        SECRET_TEXT in line or base64.b64encode(SECRET_TEXT.encode()).decode() in line
        for one in planned
        for line in one.diff
    )
    with pytest.raises(NotThere):
        nowhere.cluster.connection.get(f"/api/v1/namespaces/{nowhere.namespace}")
    apply(nowhere, *everything)
    assert nowhere.settled().replicas == 2
    assert {one.does for one in plan(nowhere, *everything).values()} == {"unchanged"}
    assert (
        nowhere.cluster.connection.get(f"/api/v1/namespaces/{nowhere.namespace}")["metadata"][
            "labels"
        ]["team"]
        == "shop"
    )


def test_a_refused_object_keeps_a_new_namespace_empty(
    nowhere: Lab,
) -> None:
    with pytest.raises(Refused, match="replicaz"):
        apply(nowhere, namespace_object(nowhere.namespace), config_map(), deployment(replicaz=3))
    with pytest.raises(NotThere):
        nowhere.read("configmaps", "frontend")


def test_an_object_of_the_whole_cluster_is_created_changed_and_then_unchanged(
    empty_lab: Lab,
) -> None:
    name = f"{empty_lab.namespace}-reader"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }
    try:
        assert apply(empty_lab, role)["ClusterRole"].does == "create"
        wider = {**role, "rules": [{**rules[0], "verbs": ["get", "list"]}]}
        changed = apply(empty_lab, wider)["ClusterRole"]
        assert (changed.does, changed.namespace) == ("update", "")
        assert any(line.startswith("+") and "list" in line for line in changed.diff)
        assert plan(empty_lab, wider)["ClusterRole"].does == "unchanged"
    finally:
        empty_lab.cluster.connection.send(
            "DELETE", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}"
        )


def test_any_kind_that_the_cluster_serves_is_applied(empty_lab: Lab) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"pods": "7"}},
    }
    assert apply(empty_lab, quota)["ResourceQuota"].does == "create"
    assert empty_lab.read("resourcequotas", "few")["spec"]["hard"] == {"pods": "7"}


def as_service_account(lab: Lab, folder: Path, rules: list[dict[str, Any]]) -> Lab:
    """The same lab through the eyes of a service account that may only do this."""
    group = {"apiGroup": "rbac.authorization.k8s.io"}
    connection = lab.cluster.connection
    lab.create("serviceaccounts", {"metadata": {"name": "bot"}})
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{lab.namespace}"
    connection.post(f"{roles}/roles", {"metadata": {"name": "bot"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "bot", "namespace": lab.namespace}
    connection.post(
        f"{roles}/rolebindings",
        {
            "metadata": {"name": "bot"},
            "roleRef": {**group, "kind": "Role", "name": "bot"},
            "subjects": [subject],
        },
    )
    path = lab.path("serviceaccounts", "bot") + "/token"
    asked = connection.post(
        path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    )
    config = yaml.safe_load(lab.kubeconfig.read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": asked["status"]["token"]}
    mine = folder / "kubeconfig"
    mine.write_text(yaml.safe_dump(config), encoding="utf-8")
    return Lab(KubernetesCluster(kubeconfig=str(mine)), lab.namespace, mine)


def test_a_refused_write_names_the_permission_to_grant(empty_lab: Lab, tmp_path: Path) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "create", "patch"]},
    ]
    bot = as_service_account(empty_lab, tmp_path, rules)

    def refusal(*manifests: dict[str, Any]) -> str:
        with pytest.raises(Refused) as refused:
            plan(bot, *manifests)
        return str(refused.value)

    assert eventually(lambda: "may not" in refusal(secret()), within_s=10)
    where = f"in namespace {bot.namespace}"
    assert (
        f"Secret tls-certs: the bot may not get secrets {where}; its service account needs get,"
        " create and patch of secrets" in refusal(service(), secret())
    )
    assert f"ConfigMap frontend: the bot may not create configmaps {where}" in refusal(
        service(), config_map()
    )
    told = refusal(namespace_object("other"))
    assert "Namespace other: the bot may not get namespaces in the whole cluster" in told
    assert "rbac.extraClusterRules" in told
    assert SECRET_TEXT not in refusal(secret())


def test_another_apps_template_is_not_rolled(empty_lab: Lab) -> None:
    other = deployment("other", selector={"matchLabels": {"app": "other"}})
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    apply(empty_lab, other)
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "kelseyhightower/hello:2.0.0"
    with pytest.raises(Refused, match="entry of its own"):
        plan(empty_lab, other)


def test_a_switched_service_stays_switched_when_manifests_are_applied(
    lab: Lab,
) -> None:
    (seen,) = lab.observe().services
    to_green = FieldChange(Field.SELECTOR, seen.selector, {"app": "hello-green"})
    lab.cluster.apply(
        lab.target, PatchService("hello", seen.uid, seen.resource_version, (to_green,))
    )
    assert plan(lab, service())["Service"].does == "unchanged"
    renamed = service()
    renamed["spec"]["ports"][0]["name"] = "web"
    assert not any(
        "selector" in line or "hello-green" in line for line in plan(lab, renamed)["Service"].diff
    )
    apply(lab, renamed)
    (after,) = lab.observe().services
    assert after.selector == {"app": "hello-green"}
    assert after.ports[0]["name"] == "web"


def test_a_selector_without_a_release_follows_the_manifest(empty_lab: Lab) -> None:
    apply(empty_lab, service())
    narrowed = service()
    narrowed["spec"]["selector"]["track"] = "stable"
    apply(empty_lab, narrowed)
    assert empty_lab.observe().services[0].selector == {"app": "hello", "track": "stable"}


def test_a_write_that_meets_another_version_is_compared_again(empty_lab: Lab) -> None:
    """An autoscaler moves the replicas between the read and the write: the live number stays."""
    apply(empty_lab, deployment())
    uid = empty_lab.settled().uid
    asked: list[tuple[str, ...]] = []

    def scaled_meanwhile(change: ObjectChange) -> bool:
        asked.append(change.diff)
        if len(asked) == 1:
            empty_lab.cluster.apply(
                empty_lab.target,
                PatchDeployment("hello", uid, "", (FieldChange(Field.REPLICAS, 2, 3),)),
            )
        return True

    def is_applied() -> bool:
        """Pods that start give the Deployment new versions, too."""
        with contextlib.suppress(ClusterUnreachable):
            applied(empty_lab, deployment(minReadySeconds=1), may_write=scaled_meanwhile)
        return empty_lab.stable().min_ready_seconds == 1

    assert eventually(is_applied)
    assert empty_lab.stable().replicas == 3
    assert len(asked) >= 2 and len(set(asked)) == 1


def test_a_change_that_nobody_confirmed_stops_the_write(empty_lab: Lab) -> None:
    apply(empty_lab, config_map())
    shown = plan(empty_lab, config_map("changed\n"))["ConfigMap"].diff

    def changed_meanwhile(change: ObjectChange) -> bool:
        if change.diff != shown:
            return False
        empty_lab.edit("configmaps", "frontend", {"data": {"more": "by hand"}})
        empty_lab.edit("configmaps", "frontend", {"metadata": {"labels": {"by": "hand"}}})
        empty_lab.edit("configmaps", "frontend", {"data": {"frontend.conf": "by hand\n"}})
        return True

    with contextlib.suppress(Refused):
        applied(empty_lab, config_map("changed\n"), may_write=changed_meanwhile)
    assert empty_lab.read("configmaps", "frontend")["data"]["frontend.conf"] == "by hand\n"


def test_an_object_that_never_stands_still_is_given_up(empty_lab: Lab) -> None:
    apply(empty_lab, config_map())
    turns = itertools.count()

    def moves(change: ObjectChange) -> bool:
        label = {"metadata": {"labels": {"turn": str(next(turns))}}}
        empty_lab.edit("configmaps", "frontend", label)
        return True

    with pytest.raises(ClusterUnreachable, match="ConfigMap frontend keeps changing"):
        applied(empty_lab, config_map("changed\n"), may_write=moves)
    assert next(turns) == 3
