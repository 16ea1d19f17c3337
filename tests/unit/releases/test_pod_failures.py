"""What a real kubelet said of broken pods, and what the classifier makes of it.

``samples/kubelet`` holds statuses and Warning events of Kubernetes 1.36, one file a Deployment.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bot.cluster import reading
from bot.releases.assess.container_failures import container_failure
from bot.releases.assess.pod_failures import Assessment, assess, cause_of, pod_failure
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.observation import PodSeen
from bot.releases.facts.plan import Side
from bot.releases.facts.rules import Rules
from tests.builders import (
    MINUTE,
    REPOSITORY,
    SECOND,
    T0,
    a_container,
    a_deployment,
    a_pod,
    a_replica_set,
    a_template,
    an_observation,
)

SAMPLES = Path(__file__).parent / "samples" / "kubelet"
PERMANENT, PERSISTENT, ENVIRONMENT = (
    FailureClass.PERMANENT,
    FailureClass.PERSISTENT,
    FailureClass.ENVIRONMENT,
)
PULLED = "cannot be pulled: "
NO_COMMAND = 'exec: "/nope": stat /nope: no such file or directory'

EXPECTED: dict[str, tuple[FailureClass, str] | None] = {
    "claim-missing": (ENVIRONMENT, 'persistentvolumeclaim "nope" not found'),
    "configmap-missing": (PERMANENT, 'configmap "nope" not found'),
    "crash": (PERSISTENT, "last ended with exit code 1"),
    "digest-missing": (PERMANENT, PULLED + "not found"),
    "healthy": None,
    "image-missing": (PERMANENT, PULLED + "not found"),
    "init-crash": (PERSISTENT, "init restarted 4 times, last ended with exit code 1"),
    "init-image-missing": (PERMANENT, PULLED + "not found"),
    "invalid-name": (PERMANENT, "kelseyhightower/HELLO:1 is not a valid image name"),
    "late-crash": (PERSISTENT, "last ended with exit code 3"),
    "liveness": (PERSISTENT, "stopped by its liveness probe: Get "),
    "never-pull": None,
    "never-ready": None,
    "no-cpu": (ENVIRONMENT, "Insufficient cpu"),
    "no-node": (ENVIRONMENT, "didn't match Pod's node affinity/selector"),
    "no-such-command": (PERMANENT, f"app cannot start: {NO_COMMAND}"),
    "oom": (PERSISTENT, "sandbox cannot start: container init was OOM-killed"),
    "oom-small": (PERSISTENT, "sandbox cannot start: cannot start a stopped process"),
    "poststart": (PERSISTENT, "stopped because its postStart hook failed"),
    "registry-429": (PERSISTENT, PULLED + "429 Too Many Requests"),
    "registry-503": (PERSISTENT, PULLED + "503 Service Unavailable"),
    "registry-down": (PERSISTENT, PULLED + "connection refused"),
    "registry-no-dns": (PERSISTENT, PULLED + "i/o timeout"),
    "registry-tls": (PERSISTENT, PULLED + "server gave HTTP response to HTTPS client"),
    "repository-missing": (PERMANENT, PULLED + "not found"),
    "root-refused": (PERMANENT, "runAsUser breaks non-root policy"),
    "secret-key-missing": (PERMANENT, 'secret "nope" not found'),
    "sidecar-crash": (PERSISTENT, "side restarted 4 times, last ended with exit code 1"),
    "startup": (PERSISTENT, "stopped by its startup probe: Get "),
    "unauthorized": (PERMANENT, PULLED + "no basic auth credentials"),
    "volume-secret-missing": (PERSISTENT, 'a volume cannot be mounted: secret "nope" not found'),
    "wrong-binary": (PERMANENT, PULLED + "not found"),
}


def sample(name: str) -> PodSeen:
    found = json.loads((SAMPLES / f"{name}.json").read_text())
    warnings = tuple((reason, message) for reason, message in found["warnings"])
    return replace(reading.pod(found["pod"]), warnings=warnings)


def test_every_sample_has_an_expectation() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_pod_is_judged_by_what_the_kubelet_says(name: str) -> None:
    expected, failure = EXPECTED[name], pod_failure(sample(name), Rules())
    if expected is None or failure is None:
        assert failure is None and expected is None
        return
    assert failure.failure is expected[0]
    assert expected[1] in cause_of((failure,), 1).summary


@pytest.mark.parametrize(
    ("image", "message", "failure"),
    [
        (
            "registry.example.com/shop/access-denied-page:1",
            "failed to resolve image: registry.example.com/shop/access-denied-page:1: 503",
            PERSISTENT,
        ),
        (
            "shop/access-denied-page:1",
            "failed to do request: Head https://mirror/v2/shop/access-denied-page/: refused",
            PERSISTENT,
        ),
        ("unauthorized:1", "docker.io/library/unauthorized:1: i/o timeout", PERSISTENT),
        ("denied:1", "pull access denied, repository does not exist", PERMANENT),
        ("a/hello:1", "docker.io/a/hello:1: not found", PERMANENT),
    ],
)
def test_the_name_of_an_image_is_no_reason(image: str, message: str, failure: FailureClass) -> None:
    pod = a_pod(image=image, waiting="ImagePullBackOff", message=message)
    found = pod_failure(pod, Rules())
    assert found is not None and found.failure is failure


@pytest.mark.parametrize(
    ("waiting", "message", "failure"),
    [
        ("SignatureValidationFailed", "image signature: not signed", PERMANENT),
        ("ImageInspectError", "failed to inspect image: i/o timeout", PERSISTENT),
        ("CreateContainerError", "context deadline exceeded", PERSISTENT),
        ("CreateContainerError", "failed to generate spec: no command specified", PERMANENT),
        ("RunContainerError", "failed to create shim task: unknown", PERSISTENT),
        ("RunContainerError", 'exec: "srv": executable file not found in $PATH', PERMANENT),
    ],
)
def test_a_runtime_that_cannot_start_a_container_is_named(
    waiting: str, message: str, failure: FailureClass
) -> None:
    found = pod_failure(a_pod(waiting=waiting, message=message), Rules())
    assert found is not None and (found.failure, found.what) == (failure, waiting)


def test_a_command_that_does_not_exist_counts_at_once() -> None:
    found = pod_failure(sample("no-such-command"), Rules())
    assert found is not None and found.ripe_at == 0


def test_a_mount_that_has_succeeded_since_is_history() -> None:
    pod = replace(sample("volume-secret-missing"), has_sandbox=True)
    assert pod_failure(pod, Rules()) is None


def test_a_secret_that_the_kubelet_has_not_received_yet_is_waited_for() -> None:
    late = ("FailedMount", 'MountVolume.SetUp failed for volume "v" : failed to sync secret cache')
    pod = replace(sample("volume-secret-missing"), warnings=(late,))
    assert pod_failure(pod, Rules()) is None


def test_a_network_that_no_sandbox_gets_is_the_clusters_fault() -> None:
    message = 'failed to setup network for sandbox "0123": no IP addresses available'
    pod = replace(sample("oom"), warnings=(("FailedCreatePodSandBox", message),))
    found = pod_failure(pod, Rules())
    assert found is not None and found.failure is ENVIRONMENT


# --- from when on ---------------------------------------------------------------------------------


def test_a_crash_loop_counts_from_the_first_start_not_from_the_pull() -> None:
    pulled_at = T0 + 5 * MINUTE
    container = a_container(
        ready=False,
        waiting="CrashLoopBackOff",
        restarts=3,
        last_terminated="Error",
        last_started_at=pulled_at + 30 * SECOND,
    )
    found = container_failure(a_pod(created_at=T0, ready=False), container, Rules())
    assert found is not None and found.ripe_at == pulled_at + MINUTE


def test_a_registry_has_its_time_from_when_a_node_took_the_pod() -> None:
    pod = a_pod(created_at=T0, waiting="ErrImagePull", message="timeout")
    found = pod_failure(replace(pod, accepted_at=T0 + 10 * MINUTE), Rules())
    assert found is not None and found.ripe_at == T0 + 12 * MINUTE


# --- where the pods may run, and whether they may exist -------------------------------------------


def assessed(pods: tuple[PodSeen, ...], *, before: object, failure: str = "") -> Assessment:
    template = a_template("2.0.0", nodeSelector={"disk": "fast"})
    new_set = a_replica_set("hello-2", template, revision=2, pods=pods, failure=failure)
    seen = an_observation(a_deployment(template=template, replica_sets=(new_set,)))
    return assess(seen, Side.STABLE, Rules(), T0, before=before)


def without_a_node(*, scale_up: bool = False) -> PodSeen:
    words = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    return replace(
        a_pod(image=f"{REPOSITORY}:2.0.0", ready=False), unschedulable=words, scale_up=scale_up
    )


def test_a_node_selector_that_is_new_and_matches_nothing_is_the_versions_own() -> None:
    found = assessed((without_a_node(),), before=a_template())
    assert found.unplaceable and not found.environment and not found.permanent


def test_a_node_selector_that_the_old_template_had_too_is_the_environment() -> None:
    before = a_template("1.0.0", nodeSelector={"disk": "fast"})
    found = assessed((without_a_node(),), before=before)
    assert found.environment and not found.unplaceable


def test_a_node_that_an_autoscaler_is_adding_is_waited_for() -> None:
    found = assessed((without_a_node(scale_up=True),), before=a_template())
    assert found.environment and not found.unplaceable


DENIED = (
    "pods \"hello-2-\" is forbidden: ValidatingAdmissionPolicy 'signed-images' denied request:"
    " image is not signed by the build system"
)


@pytest.mark.parametrize(
    "message",
    [
        DENIED,
        'admission webhook "images.example.com" denied the request: not signed',
        'pods "hello-2-x" is forbidden: violates PodSecurity "restricted:latest"',
    ],
)
def test_pods_that_admission_denies_are_the_versions_failure(message: str) -> None:
    (found,) = assessed((), before=a_template(), failure=message).permanent
    cause = cause_of((found,), 0)
    assert message in cause.summary and cause.pods == ()


@pytest.mark.parametrize(
    "message",
    [
        'pods "hello-2-x" is forbidden: exceeded quota: compute',
        'pods "hello-2-x" is forbidden: failed quota: compute: must specify limits.cpu',
        'Internal error occurred: failed calling webhook "images.example.com": timeout',
    ],
)
def test_a_quota_and_a_dead_webhook_are_the_environment(message: str) -> None:
    found = assessed((), before=a_template(), failure=message)
    assert not found.permanent and found.blocked == message


def test_a_refusal_while_some_pods_exist_is_not_the_versions_failure() -> None:
    found = assessed((a_pod(),), before=a_template(), failure=DENIED)
    assert not found.permanent and found.blocked == DENIED
