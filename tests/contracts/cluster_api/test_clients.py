"""The clients that people use: the official Python client, its dynamic client and watch, and
kubectl."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

from sandbox.control_plane import BinariesMissing, built_binaries
from tests.contracts.cluster_api.server import Namespace, deployment, revision, service, wait_for
from tests.contracts.cluster_api.test_field_managers import REPLICAS, owners


@pytest.fixture
def api(namespace: Namespace) -> client.ApiClient:
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    found: client.ApiClient = config.new_client_from_config(str(namespace.server.kubeconfig))
    return found


@pytest.fixture
def kubectl(namespace: Namespace) -> Callable[..., str]:
    """Runs kubectl in the test's namespace; the one that was built with the control plane, else the
    installed one."""
    found = shutil.which("kubectl")
    with contextlib.suppress(BinariesMissing):
        found = str(built_binaries() / "kubectl")
    if found is None:
        pytest.skip("no kubectl on this machine")
    binary = found

    def run(*arguments: str, stdin: str | None = None, fails: bool = False) -> str:
        base = [
            binary,
            "--kubeconfig",
            str(namespace.server.kubeconfig),
            "--namespace",
            namespace.name,
        ]
        environment = {
            **os.environ,
            "KUBECACHEDIR": str(namespace.server.kubeconfig.parent / "kubectl-cache"),
        }
        done = subprocess.run(
            [*base, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr if fails else done.stdout

    return run


def test_the_typed_client_creates_reads_scales_and_deletes(
    namespace: Namespace, api: client.ApiClient
) -> None:
    apps = client.AppsV1Api(api)
    body: Any = deployment(replicas=1)
    made: Any = apps.create_namespaced_deployment(namespace.name, body)
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    apps.patch_namespaced_deployment_scale("hello", namespace.name, {"spec": {"replicas": 2}})
    namespace.wait_complete("hello")
    read: Any = apps.read_namespaced_deployment("hello", namespace.name)
    assert read.status.ready_replicas == 2
    apps.delete_namespaced_deployment("hello", namespace.name)
    with pytest.raises(ApiException) as refused:
        apps.read_namespaced_deployment("hello", namespace.name)
    assert (refused.value.status, refused.value.reason) == (404, "Not Found")


def test_the_watch_of_the_client_delivers_typed_events_from_a_version(
    namespace: Namespace, api: client.ApiClient
) -> None:
    core = client.CoreV1Api(api)
    listed: Any = core.list_namespaced_pod(namespace.name)
    version = listed.metadata.resource_version
    namespace.made("deployments", deployment(replicas=1))
    stream = watch.Watch()
    phases = set()
    for event in stream.stream(
        core.list_namespaced_pod,
        namespace.name,
        resource_version=version,
        timeout_seconds=20,
        allow_watch_bookmarks=True,
    ):
        phases.add(event["object"].status.phase)
        if "Running" in phases:
            stream.stop()
    assert phases == {"Pending", "Running"}


def test_the_dynamic_client_discovers_applies_and_deletes(
    namespace: Namespace, api: client.ApiClient
) -> None:
    found = dynamic.DynamicClient(api)
    services = found.resources.get(api_version="v1", kind="Service")
    services.server_side_apply(
        body=service(), namespace=namespace.name, name="hello", field_manager="me"
    )
    assert services.get(name="hello", namespace=namespace.name).spec.clusterIP
    services.delete(name="hello", namespace=namespace.name)
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.get(namespace=namespace.name).items == []


def test_kubectl_applies_rolls_undoes_and_restarts(
    namespace: Namespace, kubectl: Callable[..., str]
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(deployment(replicas=2)))
    assert "successfully rolled out" in kubectl(
        "rollout", "status", "deployment/hello", "--timeout=30s"
    )
    kubectl("set", "image", "deployment/hello", "hello=example/hello:2.0.0")
    kubectl("rollout", "status", "deployment/hello", "--timeout=30s")
    history = kubectl("rollout", "history", "deployment/hello")
    assert [line.split()[0] for line in history.splitlines()[2:4]] == ["1", "2"]
    kubectl("rollout", "undo", "deployment/hello")
    kubectl("rollout", "status", "deployment/hello", "--timeout=30s")
    undone = namespace.read("deployments", "hello")
    assert undone["spec"]["template"]["spec"]["containers"][0]["image"] == "example/hello:1.0.0"
    assert revision(undone) == 3
    kubectl("rollout", "restart", "deployment/hello")
    kubectl("rollout", "status", "deployment/hello", "--timeout=30s")
    assert revision(namespace.read("deployments", "hello")) == 4


def test_kubectl_writes_show_in_managed_fields(
    namespace: Namespace, kubectl: Callable[..., str]
) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(deployment(replicas=1)))
    image = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"hello"}', "f:image")
    assert owners(namespace.read("deployments", "hello"), *image) == {
        ("kubectl-create", "Update", "")
    }
    kubectl("scale", "deployment/hello", "--replicas=2")
    assert owners(namespace.read("deployments", "hello"), *REPLICAS) == {
        ("kubectl", "Update", "scale")
    }
    kubectl("set", "image", "deployment/hello", "hello=example/hello:2.0.0")
    assert owners(namespace.read("deployments", "hello"), *image) == {("kubectl-set", "Update", "")}
    kubectl("rollout", "restart", "deployment/hello")
    stamp = (
        "f:spec",
        "f:template",
        "f:metadata",
        "f:annotations",
        "f:kubectl.kubernetes.io/restartedAt",
    )
    assert owners(namespace.read("deployments", "hello"), *stamp) == {
        ("kubectl-rollout", "Update", "")
    }
    namespace.wait_complete("hello")
    kubectl("rollout", "undo", "deployment/hello", "--to-revision=1")
    assert owners(namespace.read("deployments", "hello"), *image) == {("kubectl", "Update", "")}


def test_kubectl_pauses_and_resumes(namespace: Namespace, kubectl: Callable[..., str]) -> None:
    namespace.made("deployments", deployment(replicas=2))
    namespace.wait_complete("hello")
    kubectl("rollout", "pause", "deployment/hello")
    assert namespace.read("deployments", "hello")["spec"]["paused"] is True
    kubectl("set", "image", "deployment/hello", "hello=example/hello:2.0.0")
    kubectl("rollout", "resume", "deployment/hello")
    kubectl("rollout", "status", "deployment/hello", "--timeout=30s")
    assert "paused" not in namespace.read("deployments", "hello")["spec"]


def test_kubectl_get_prints_the_columns(namespace: Namespace, kubectl: Callable[..., str]) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.made("services", service())
    namespace.wait_complete("hello")
    head, row = kubectl("get", "deployments", "-o", "wide").splitlines()
    assert head.split() == [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
        "CONTAINERS",
        "IMAGES",
        "SELECTOR",
    ]
    assert row.split()[:4] == ["hello", "1/1", "1", "1"]
    head, row = kubectl("get", "pods").splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[1:4] == ["1/1", "Running", "0"]
    head, row = kubectl("get", "services").splitlines()
    assert head.split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert row.split()[0:2] == ["hello", "ClusterIP"]
    assert row.split()[3:5] == ["<none>", "80/TCP"]
    head = kubectl("get", "replicasets").splitlines()[0]
    assert head.split() == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]


def test_kubectl_explains_from_openapi_v3(kubectl: Callable[..., str]) -> None:
    text = kubectl("explain", "deployment.spec.replicas")
    assert "FIELD: replicas <integer>" in text
    assert "Number of desired pods." in text
    tree = kubectl("explain", "deployment", "--recursive")
    assert "readinessProbe\t<Probe>" in tree
    assert 'error: field "replicsa" does not exist' in kubectl(
        "explain", "deployment.spec.replicsa", fails=True
    )


def test_kubectl_server_side_apply_reports_conflicts(
    namespace: Namespace, kubectl: Callable[..., str]
) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {colour: blue}\n"
    kubectl("apply", "--server-side", "--field-manager=first", "-f", "-", stdin=text)
    other = text.replace("blue", "green")
    told = kubectl(
        "apply", "--server-side", "--field-manager=second", "-f", "-", stdin=other, fails=True
    )
    assert 'conflict with "first": .data.colour' in told
    assert namespace.read("configmaps", "notes")["data"] == {"colour": "blue"}
    kubectl(
        "apply",
        "--server-side",
        "--field-manager=second",
        "--force-conflicts",
        "-f",
        "-",
        stdin=other,
    )
    assert namespace.read("configmaps", "notes")["data"] == {"colour": "green"}


def test_kubectl_deletes_with_each_policy_and_waits(
    namespace: Namespace, kubectl: Callable[..., str]
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    kubectl("delete", "deployment", "hello", "--cascade=foreground", "--timeout=30s")
    wait_for(lambda: not namespace.items("pods"), "pods gone")
