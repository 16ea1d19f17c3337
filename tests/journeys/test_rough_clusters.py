"""What only a real API server and its controllers show: admission that changes what is written, and
objects of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from kubernetes import client

from tests.journeys.conftest import DEVELOPER, Journey
from tests.journeys.test_bluegreen import WAITS_FOR_SWITCH
from tests.journeys.test_bluegreen_shapes import app_of_two_services
from tests.journeys.test_rollouts_of_others import set_image

real_only = pytest.mark.parametrize(
    "running", [pytest.param("control plane", marks=pytest.mark.control_plane)], indirect=True
)
POLICIES = "admissionregistration.k8s.io"


@contextmanager
def admission(journey: Journey, resource: str, group: str, patch: str) -> Iterator[None]:
    """A MutatingAdmissionPolicy: the API server itself changes matching requests for the app."""
    name, api = f"rewrite-{journey.app}", client.CustomObjectsApi(journey.api)
    rule = {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": [resource],
    }
    selector = {"matchLabels": {"app": journey.app}}
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [rule], "objectSelector": selector},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    made: dict[tuple[str, str], Any] = {
        ("mutatingadmissionpolicies", "MutatingAdmissionPolicy"): spec,
        ("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"): {"policyName": name},
    }
    for (plural, kind), body in made.items():
        whole = {
            "apiVersion": f"{POLICIES}/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": body,
        }
        api.create_cluster_custom_object(POLICIES, "v1", plural, whole)
    try:
        yield
    finally:
        for plural, _ in made:
            api.delete_cluster_custom_object(POLICIES, "v1", plural, name)


def rewritten(path: str, image: str) -> str:
    return f'[JSONPatch{{op: "replace", path: "{path}/containers/0/image", value: "{image}"}}]'


@real_only
def test_a_digest_that_admission_writes_is_no_drift_and_no_write_war(journey: Journey) -> None:
    digest = f"pilothouse/{journey.app}@sha256:{'2' * 64}"
    label = {"metadata": {"labels": {"app": journey.app}}}
    journey.deployments.patch_namespaced_deployment(journey.app, "default", label)
    patch = rewritten("/spec/template/spec", digest)
    with admission(journey, "deployments", "apps", patch):

        def is_in_force() -> bool:
            tried = journey.deployments.patch_namespaced_deployment(
                journey.app, "default", label, dry_run="All"
            )
            return bool(tried.spec.template.spec.containers[0].image == digest)

        journey.until(is_in_force, "the policy in force")
        journey.say("/deploy {app} 2.0.0")
        journey.sees(r"{app} is on 2{12}, took")
    assert journey.deployment().spec.template.spec.containers[0].image == digest
    assert len([one for one in journey.writes() if "deployments" in str(one)]) <= 3


@real_only
def test_a_scale_whose_new_pods_cannot_start_takes_no_ready_pod_away(journey: Journey) -> None:
    before = journey.pod_names()
    missing = f"pilothouse/{journey.app}:missing"
    with admission(journey, "pods", "", rewritten("/spec", missing)):

        def is_in_force() -> bool:
            pod = client.V1Pod(
                metadata=client.V1ObjectMeta(name="tried", labels={"app": journey.app}),
                spec=client.V1PodSpec(
                    containers=[client.V1Container(name=journey.app, image="tried")]
                ),
            )
            tried = journey.core.create_namespaced_pod("default", pod, dry_run="All")
            return bool(tried.spec.containers[0].image == missing)

        journey.until(is_in_force, "the policy in force")
        journey.say("/scale {app} 7")
        journey.sees(r"cannot be pulled")
        assert journey.deployment().spec.replicas == 7
        assert before <= journey.pod_names()

    def is_healed() -> bool:
        """The policy goes a moment later than its object."""
        pods = journey.core.list_namespaced_pod("default", label_selector=f"app={journey.app}")
        for pod in pods.items:
            if pod.spec.containers[0].image.endswith(":missing"):
                with suppress(client.ApiException):  # it is gone already
                    journey.core.delete_namespaced_pod(pod.metadata.name, "default")
        return bool(journey.deployment().status.available_replicas == 7)

    journey.until(is_healed, "7 available pods")
    journey.sees(r"{app} has 7 pods")
    assert before <= journey.pod_names()


@pytest.mark.slow
def test_a_preview_service_of_someone_else_is_left_alone(journey: Journey) -> None:
    journey = app_of_two_services(journey)
    journey.say("/deploy {app} 2.0.0 bluegreen")
    journey.sees(WAITS_FOR_SWITCH)
    name = f"{journey.app}-preview"
    journey.core.delete_namespaced_service(name, "default")
    port = client.V1ServicePort(port=80)
    spec = client.V1ServiceSpec(selector={"app": "other"}, ports=[port])
    theirs = client.V1Service(metadata=client.V1ObjectMeta(name=name), spec=spec)
    uid = journey.core.create_namespaced_service("default", theirs).metadata.uid
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0")
    left = journey.core.read_namespaced_service(name, "default")
    assert (left.metadata.uid, left.spec.selector) == (uid, {"app": "other"})
    journey.core.delete_namespaced_service(name, "default")


@pytest.mark.slow
def test_a_broken_version_is_fixed_forward_once_confirmed(journey: Journey) -> None:
    set_image(journey, "missing")

    def is_failing() -> bool:
        pods = journey.core.list_namespaced_pod("default", label_selector=f"app={journey.app}")
        statuses = [one for pod in pods.items for one in pod.status.container_statuses or ()]
        return any(one.state.waiting and one.state.waiting.message for one in statuses)

    journey.until(is_failing, "a pod that cannot start")
    journey.say("/deploy {app} 2.0.0")
    journey.click("Continue", user=DEVELOPER)
    journey.sees(r"{app} is on 2\.0\.0")
    assert journey.versions() == {"2.0.0": 5}
