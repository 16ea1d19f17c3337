from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from bot.cluster import KubernetesCluster
from bot.cluster.permissions import NEEDED
from bot.ports import ClusterUnreachable, PreconditionFailed
from bot.releases.facts.actions import CreateDeployment, FieldChange, PatchDeployment
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import ProbeSeen
from bot.releases.facts.plan import Probe
from bot.releases.facts.target import Target
from sandbox.cluster import SimulatedCluster
from tests.contracts.cluster_port.conftest import Lab, candidate_of

CLAIM = FieldChange(Field.CLAIM, "", "hello-1")


def test_a_silent_server_times_out(impatient: Lab, simulation: SimulatedCluster) -> None:
    simulation.plan_fault("slow", seconds=20, times=None)
    began = time.monotonic()
    with pytest.raises(ClusterUnreachable, match=r"did not answer within 0\.5 s"):
        impatient.observe()
    assert time.monotonic() - began < 15  # the answer itself takes 20


def test_one_failed_read_makes_the_observation_unreachable(
    lab: Lab, simulation: SimulatedCluster
) -> None:
    simulation.plan_fault("reset_before", methods=["GET"], path="endpointslices")
    with pytest.raises(ClusterUnreachable, match="broke"):
        lab.observe()
    assert lab.observe().stable is not None


def test_a_busy_server_sets_the_wait(lab: Lab, simulation: SimulatedCluster) -> None:
    simulation.plan_fault("throttle", seconds=3, path="deployments")
    with pytest.raises(ClusterUnreachable) as busy:
        lab.observe()
    assert busy.value.retry_after_ms == 3_000


def test_a_server_error_is_unreachable_and_named(lab: Lab, simulation: SimulatedCluster) -> None:
    simulation.plan_fault("error", code=503, path="pods")
    with pytest.raises(ClusterUnreachable, match="503"):
        lab.observe()


def test_repeating_a_write_whose_reply_was_lost_succeeds(
    lab: Lab, simulation: SimulatedCluster
) -> None:
    stable = lab.stable()
    claiming = PatchDeployment("hello", stable.uid, "", (CLAIM,))
    creating = CreateDeployment("hello-canary", "hello-1", candidate_of(stable, "hello-1"))
    for action in (claiming, creating):
        simulation.plan_fault("reset_after")
        with pytest.raises(ClusterUnreachable):
            lab.cluster.apply(lab.target, action)
        lab.cluster.apply(lab.target, action)
    seen = lab.observe("hello-canary")
    assert seen.stable is not None
    assert seen.stable.claim == "hello-1"
    assert seen.candidate is not None


def test_a_conflict_asks_for_a_new_observation(lab: Lab, simulation: SimulatedCluster) -> None:
    stable = lab.stable()
    simulation.plan_fault("conflict")
    with pytest.raises(PreconditionFailed):
        lab.cluster.apply(lab.target, PatchDeployment("hello", stable.uid, "", (CLAIM,)))
    assert lab.stable().claim == ""


@pytest.mark.parametrize(
    "resource",
    [
        "horizontalpodautoscalers",
        "poddisruptionbudgets",
        "networkpolicies",
        "resourcequotas",
        "persistentvolumeclaims",
        "events",
    ],
)
def test_a_forbidden_optional_read_is_empty(
    lab: Lab, simulation: SimulatedCluster, resource: str
) -> None:
    simulation.deny("list", resource=resource)
    seen = lab.observe(survey=True, events=True)
    assert seen.stable is not None
    assert seen.survey is not None


def test_a_forbidden_required_read_never_means_gone(lab: Lab, simulation: SimulatedCluster) -> None:
    simulation.deny("list", resource="pods")
    with pytest.raises(ClusterUnreachable, match="lacks a permission: pods is forbidden"):
        lab.observe()


def test_a_missing_permission_is_named_with_its_place(
    lab: Lab, simulation: SimulatedCluster
) -> None:
    simulation.deny("patch", resource="deployments")
    simulation.deny("get", resource="namespaces")
    assert lab.cluster.missing_permissions("default") == (
        "patch deployments.apps in default",
        "get namespaces kube-system",
    )


def _observe_in_child(
    cluster: KubernetesCluster, target: Target, answer: multiprocessing.SimpleQueue[int]
) -> None:
    stable = cluster.observe(target, candidate="").stable
    answer.put(stable.available if stable else -1)


def test_a_forked_process_opens_its_own_connections(lab: Lab) -> None:
    """The parent is connected; its sockets must not be shared by a child that asks at the same
    time."""
    lab.observe()
    context = multiprocessing.get_context("fork")
    answer: multiprocessing.SimpleQueue[int] = context.SimpleQueue()
    children = [
        context.Process(target=_observe_in_child, args=(lab.cluster, lab.target, answer))
        for _ in range(4)
    ]
    for child in children:
        child.start()
    for _ in range(10):
        assert lab.observe().stable is not None
    for child in children:
        child.join(timeout=20)
        assert child.exitcode == 0
    assert [answer.get() for _ in children] == [2, 2, 2, 2]


def test_the_granted_rules_are_enough(
    lab: Lab, simulation: SimulatedCluster, tmp_path: Path
) -> None:
    """One rule for each entry of NEEDED and nothing more is enough, and a claim can be written."""
    token = simulation.service_account_token("default", "pilothouse")
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for group, resource, verbs in NEEDED
    ]
    system = [
        {
            "apiGroups": [""],
            "resources": ["namespaces"],
            "resourceNames": ["kube-system"],
            "verbs": ["get"],
        }
    ]
    subject = {"kind": "ServiceAccount", "name": "pilothouse", "namespace": "default"}
    rbac = "rbac.authorization.k8s.io"
    simulation.seed(
        [
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "Role",
                "metadata": {"name": "bot", "namespace": "default"},
                "rules": rules,
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": "bot"},
                "rules": system,
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "bot", "namespace": "default"},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "bot"},
                "subjects": [subject],
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "bot"},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "bot"},
                "subjects": [subject],
            },
        ]
    )
    cluster = KubernetesCluster(
        kubeconfig=str(simulation.kubeconfig(tmp_path / "bot", token=token))
    )
    assert cluster.missing_permissions("default") == ()
    stable = cluster.observe(lab.target, candidate="hello-canary", survey=True, events=True).stable
    assert stable is not None
    cluster.apply(lab.target, PatchDeployment("hello", stable.uid, "", (CLAIM,)))
    assert lab.stable().claim == "hello-1"


def test_pods_that_time_out_are_named_without_failing_the_observation(
    lab: Lab, simulation: SimulatedCluster
) -> None:
    pods = [pod.name for replica_set in lab.stable().replica_sets for pod in replica_set.pods]
    simulation.plan_fault("slow", seconds=20, times=None, path="/proxy/")
    began = time.monotonic()
    seen = lab.cluster.ask_pods(lab.target, pods, Probe("/version", 80, 100))
    assert time.monotonic() - began < 15  # the answer itself takes 20
    assert {name for name, _ in seen.failed} == set(pods)
    assert "did not answer within" in seen.failed[0][1]
    assert lab.observe().stable is not None


def test_a_pod_error_is_no_failure_of_the_api_server(lab: Lab) -> None:
    pods = [pod.name for replica_set in lab.stable().replica_sets for pod in replica_set.pods]
    seen = lab.cluster.ask_pods(lab.target, pods, Probe("/nothing-here", 80, 4))
    assert dict(seen.failed) == dict.fromkeys(pods, "it answers 404")
    assert lab.cluster.ask_pods(lab.target, pods, Probe("/version", 80, 4)) == ProbeSeen(4)
