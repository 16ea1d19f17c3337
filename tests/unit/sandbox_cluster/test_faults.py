"""Faults on demand, the history of writes, and the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from sandbox.cluster import SimulatedCluster
from sandbox.cluster.api_server.faults import FaultError
from tests.contracts.cluster_api.server import MERGE, Namespace, deployment, service, wait_for

pytestmark = pytest.mark.slow


def label(namespace: Namespace, value: str) -> httpx.Response:
    return namespace.patch("services", "hello", MERGE, {"metadata": {"labels": {"seen": value}}})


def test_errors_come_in_a_burst_and_then_stop(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    cluster.plan_fault("error", times=2, path="/services")
    codes = [namespace.http.get(namespace.path("services")).status_code for _ in range(3)]
    assert codes == [500, 500, 200]


def test_too_many_requests_says_when_to_retry(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    cluster.plan_fault("throttle", seconds=3)
    answer = namespace.http.get(namespace.path("services"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    assert answer.json()["reason"] == "TooManyRequests"


@pytest.mark.parametrize(("kind", "code"), [("conflict", 409), ("invalid", 422)])
def test_the_next_write_is_refused_and_reads_are_not(
    namespace: Namespace, cluster: SimulatedCluster, kind: str, code: int
) -> None:
    namespace.made("services", service())
    cluster.plan_fault(kind)
    assert namespace.get("services", "hello").status_code == 200
    assert label(namespace, "yes").status_code == code
    assert "labels" not in namespace.read("services", "hello")["metadata"]
    assert label(namespace, "yes").status_code == 200


def test_a_reset_before_the_effect_loses_the_write(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    namespace.made("services", service())
    cluster.plan_fault("reset_before", methods=["PATCH"])
    with pytest.raises(httpx.TransportError):
        label(namespace, "yes")
    assert "labels" not in namespace.read("services", "hello")["metadata"]


def test_a_reset_after_the_effect_loses_only_the_reply(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    namespace.made("services", service())
    cluster.plan_fault("reset_after")
    with pytest.raises(httpx.TransportError):
        label(namespace, "yes")
    assert namespace.read("services", "hello")["metadata"]["labels"] == {"seen": "yes"}


def test_a_slow_answer_takes_its_time(namespace: Namespace, cluster: SimulatedCluster) -> None:
    cluster.plan_fault("slow", seconds=0.3)
    began = time.monotonic()
    assert namespace.http.get(namespace.path("services")).status_code == 200
    assert time.monotonic() - began >= 0.3


def test_a_fault_for_one_agent_leaves_the_others_alone(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    cluster.plan_fault("error", times=None, agent="pilothouse")
    assert namespace.http.get(namespace.path("services")).status_code == 200
    answer = namespace.http.get(namespace.path("services"), headers={"User-Agent": "pilothouse/1"})
    assert answer.status_code == 500
    cluster.clear_faults()
    answer = namespace.http.get(namespace.path("services"), headers={"User-Agent": "pilothouse/1"})
    assert answer.status_code == 200


def test_an_unreachable_cluster_returns_on_the_same_port(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    url = cluster.url
    cluster.unreachable(0.3)
    with pytest.raises(httpx.TransportError):
        namespace.http.get("/version")

    def answers() -> bool:
        try:
            return namespace.http.get("/version").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers, "the cluster is back")
    assert cluster.url == url


def test_a_compacted_log_answers_410_to_an_old_version(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    version = namespace.listing("services")["metadata"]["resourceVersion"]
    namespace.made("services", service())
    cluster.expire_watches()
    event = next(namespace.watch("services", version))
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert "too old resource version" in event["object"]["message"]


def test_a_watch_can_get_410_once(namespace: Namespace, cluster: SimulatedCluster) -> None:
    version = namespace.listing("services")["metadata"]["resourceVersion"]
    cluster.plan_fault("watch_gone")
    assert next(namespace.watch("services", version))["object"]["code"] == 410
    namespace.made("services", service())
    assert next(namespace.watch("services", version))["type"] == "ADDED"


def test_denials_show_in_answers_and_in_reviews(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    cluster.deny(verb="patch", group="apps", resource="deployments")
    wanted = {"verb": "patch", "group": "apps", "resource": "deployments", "namespace": "default"}
    review = {"spec": {"resourceAttributes": wanted}}
    answer = namespace.http.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review
    )
    assert answer.json()["status"] == {"allowed": False}
    namespace.made("deployments", deployment(replicas=0))
    assert namespace.patch("deployments", "hello", MERGE, {}).status_code == 403


def test_the_history_lists_every_write_with_manager_and_result(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    namespace.made("services", service(), fieldManager="pilothouse")
    label(namespace, "yes")
    namespace.delete("services", "hello")
    mine = [
        write
        for write in cluster.history()
        if write.resource == "services" and write.name == "hello"
    ]
    assert [(write.verb, write.manager) for write in mine] == [
        ("create", "pilothouse"),
        ("patch", "contract"),
        ("delete", "contract"),
    ]
    assert mine[1].obj["metadata"]["labels"] == {"seen": "yes"}
    told = namespace.http.get(
        "/_sandbox/history", params={"resource": "services", "verb": "patch"}
    ).json()
    assert [write["agent"] for write in told] == ["contract/1"]


def test_a_dry_run_and_a_refused_write_leave_no_trace_in_the_history(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    before = cluster.history()[-1].number
    namespace.create("services", service(), dryRun="All")
    namespace.create("deployments", deployment(replicas=-1))
    assert cluster.history(before) == []


def test_faults_over_http_are_checked(namespace: Namespace, cluster: SimulatedCluster) -> None:
    assert (
        namespace.http.post("/_sandbox/faults", json={"kind": "error", "times": 1}).status_code
        == 200
    )
    assert namespace.http.get("/version").status_code == 500
    refused = namespace.http.post("/_sandbox/faults", json={"kind": "explode"})
    assert refused.status_code == 400
    assert "unknown fault 'explode'" in refused.json()["error"]
    with pytest.raises(FaultError, match="unknown key 'tiems'"):
        cluster.plan_fault("error", tiems=3)


def test_the_process_writes_a_kubeconfig_and_removes_it(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    command = [
        sys.executable,
        "-m",
        "sandbox.cluster",
        "--port",
        "0",
        "--kubeconfig",
        str(kubeconfig),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert kubeconfig.exists()
        assert httpx.get(f"{url}/version").json()["major"] == "1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not kubeconfig.exists()
