from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from bot.ports import ObjectChange, Refused
from bot.releases.actions import FieldChange, PatchDeployment
from bot.releases.model import Field
from tests.contracts.cluster_port.conftest import Lab, deployment, service

SECRET_TEXT = "correct horse battery staple"


def secret(text: str = SECRET_TEXT) -> dict[str, Any]:
    data = {"tls.key": base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls-certs"}, "type": "Opaque", "data": data}


def config_map(text: str = "server {}\n") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "frontend"}, "data": {"frontend.conf": text}}


def plan(lab: Lab, *manifests: dict[str, Any]) -> dict[str, ObjectChange]:
    return {change.kind: change for change in lab.cluster.plan_manifests(lab.target, manifests)}


def apply(lab: Lab, *manifests: dict[str, Any]) -> dict[str, ObjectChange]:
    changes = lab.cluster.apply_manifests(lab.target, manifests, skip_template_of="hello")
    return {change.kind: change for change in changes}


def test_a_plan_writes_nothing_and_applying_makes_what_it_said(empty_lab: Lab) -> None:
    everything = (deployment(), service(), config_map(), secret())
    assert {kind: one.does for kind, one in plan(empty_lab, *everything).items()} == dict.fromkeys(
        ("Secret", "ConfigMap", "Service", "Deployment"), "create"
    )
    assert empty_lab.observe().stable is None
    apply(empty_lab, *everything)
    assert empty_lab.settled().replicas == 2
    assert {one.does for one in plan(empty_lab, *everything).values()} == {"unchanged"}


def test_the_live_image_and_replicas_stay_and_nothing_else_of_the_template_is_written(empty_lab: Lab) -> None:
    apply(empty_lab, deployment())
    uid = empty_lab.settled().uid
    empty_lab.cluster.apply(empty_lab.target, PatchDeployment("hello", uid, "", (FieldChange(Field.REPLICAS, 2, 3),)))
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


def test_a_variable_taken_out_of_the_manifest_goes_even_after_a_release_wrote_it(empty_lab: Lab) -> None:
    apply(empty_lab, deployment())
    richer = deployment()
    richer["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "EXTRA", "value": "1"})
    change = apply(empty_lab, richer)["Deployment"]
    stable = empty_lab.stable()
    roll = FieldChange(Field.TEMPLATE, stable.template, change.template)
    empty_lab.cluster.apply(empty_lab.target, PatchDeployment("hello", stable.uid, "", (roll,)))
    assert plan(empty_lab, richer)["Deployment"].template is None
    assert plan(empty_lab, deployment())["Deployment"].template == stable.template


def test_the_values_of_a_secret_are_never_shown(empty_lab: Lab) -> None:
    def told(changes: dict[str, ObjectChange]) -> str:
        return "\n".join(changes["Secret"].diff)

    hidden = [SECRET_TEXT, base64.b64encode(SECRET_TEXT.encode()).decode(), base64.b64encode(b"another").decode()]
    created = told(apply(empty_lab, secret()))
    changed = told(plan(empty_lab, secret("another")))
    assert "tls.key" in created
    assert "*** (before)" in changed
    assert "*** (after)" in changed
    assert not any(text in created + changed for text in hidden)


def test_a_secret_that_is_not_taken_is_refused_without_its_values(empty_lab: Lab) -> None:
    wrong = {**secret(), "data": {"tls.key": f"not base64: {SECRET_TEXT}"}}
    with pytest.raises(Refused) as refusal:
        plan(empty_lab, wrong)
    assert SECRET_TEXT not in str(refusal.value)
    assert "tls-certs" in str(refusal.value)


def test_a_field_of_somebody_elses_is_a_conflict_and_nothing_is_applied(empty_lab: Lab) -> None:
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


def test_only_objects_of_the_apps_own_namespace_are_taken(empty_lab: Lab) -> None:
    elsewhere = service()
    elsewhere["metadata"]["namespace"] = "kube-system"
    with pytest.raises(Refused, match="kube-system"):
        plan(empty_lab, elsewhere)
    with pytest.raises(Refused, match="belongs to the whole cluster"):
        plan(empty_lab, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    with pytest.raises(Refused, match="does not serve"):
        plan(empty_lab, {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "one"}})


def test_the_template_of_another_apps_deployment_is_not_rolled_in_passing(empty_lab: Lab) -> None:
    other = deployment("other", selector={"matchLabels": {"app": "other"}})
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    apply(empty_lab, other)
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "kelseyhightower/hello:2.0.0"
    with pytest.raises(Refused, match="entry of its own"):
        plan(empty_lab, other)
