"""Rolling releases of pods that run: what clients get, and what the container runtime says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.real_node import RealNodes
from tests.real_node.conftest import Start, container_of, drains, lost_by_kubectl

pytestmark = pytest.mark.real_node


def test_no_request_is_lost_where_the_app_drains(start: Start) -> None:
    journey = start(4, drains)
    with journey.traffic() as traffic:
        journey.say("/deploy {app} 2.0.0")
        journey.sees(r"{app} is on 2\.0\.0")
        journey.until(
            lambda: traffic.newest(100) == {"2.0.0": 100}, "a hundred replies of 2.0.0 in a row"
        )
    assert traffic.versions().keys() == {"1.0.0", "2.0.0"}
    assert traffic.lost() == []


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("2.0.0-missing", r"cannot be pulled: not found"),
        ("denied", r"cannot be pulled.*authorization failed: no basic auth credentials"),
    ],
)
def test_a_failed_pull_is_told_in_the_runtimes_words_and_rolled_back(
    start: Start, tag: str, words: str
) -> None:
    journey = start(4, drains)  # an old pod makes room for the new one
    found = journey.as_found()
    with journey.traffic() as traffic:
        journey.say(f"/deploy {{app}} {tag}")
        journey.sees(words)
        journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    assert journey.as_found() == found
    assert traffic.versions().keys() == {"1.0.0"}
    assert traffic.lost() == []


def test_an_image_whose_name_is_invalid_is_told_in_the_kubelets_words(
    start: Start, real_nodes: RealNodes
) -> None:
    """No command of a release can name one; somebody's kubectl can."""
    journey = start(1)
    name, app = f"deployment/{journey.app}", journey.app
    real_nodes.kubectl("set", "image", name, f"{app}=pilothouse/UPPER:2.0.0")
    journey.until(
        lambda: any(
            status.state.waiting and status.state.waiting.reason == "InvalidImageName"
            for pod in journey.pods()
            for status in pod.status.container_statuses or ()
        ),
        "a pod that the kubelet refuses",
    )
    journey.say("/pods {app}")
    journey.sees(r"InvalidImageName")


def test_the_last_log_lines_of_a_crash_reach_its_starter(start: Start) -> None:
    """The release asks instead of rolling back, so the pod stays."""
    journey = start(kind="asking")
    journey.say("/deploy {app} 2.0.0-crash")
    journey.sees(r"CrashLoopBackOff.*exit code 1")
    told = journey.until(journey.log_lines, "the log lines")
    assert "hello 2.0.0-crash starts in " in told
    assert "panic: could not connect to db.internal:5432: connection refused" in told
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


def test_a_crash_is_rolled_back_with_its_exit_code_and_its_last_log_lines(start: Start) -> None:
    """A kubelet removes the log with the pod. (One new pod at a time: of several, one may count as
    failed before the others.)"""
    journey = start(2)
    found = journey.as_found()
    with journey.traffic() as traffic:
        journey.say("/deploy {app} 2.0.0-crash")
        journey.sees(r"CrashLoopBackOff.*exit code 1")
        journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    lines = journey.until(journey.log_lines, "the log lines")
    assert "panic: could not connect to db.internal:5432: connection refused" in lines
    assert journey.as_found() == found
    assert traffic.versions().keys() == {"1.0.0"}
    assert traffic.lost() == []


def test_a_container_out_of_memory_is_named_so(start: Start) -> None:
    def limited(deployment: dict[str, Any]) -> None:
        container_of(deployment)["resources"] = {"limits": {"memory": "64Mi"}}

    journey = start(2, limited)
    journey.say("/deploy {app} oom")
    journey.sees(r"OOMKilled")
    journey.sees(r"{app} is back on 1\.0\.0, rolled back")


def test_the_liveness_probe_that_stops_a_container_is_named(start: Start) -> None:
    def probed(deployment: dict[str, Any]) -> None:
        container_of(deployment)["livenessProbe"] = {
            "httpGet": {"path": "/readiness", "port": 80},
            "periodSeconds": 1,
            "failureThreshold": 2,
            "initialDelaySeconds": 1,
            "terminationGracePeriodSeconds": 1,
        }

    journey = start(2, probed)
    journey.say("/deploy {app} unready")
    told = journey.sees(r"stopped by its liveness probe")
    assert "HTTP probe failed with statuscode: 503" in told
    journey.sees(r"{app} is back on 1\.0\.0, rolled back")


def test_a_missing_configmap_is_named_and_rolled_back(start: Start) -> None:
    """The object is there when the app starts, and gone when its next version does."""
    journey = start(
        2,
        lambda deployment: container_of(deployment).update(
            envFrom=[{"configMapRef": {"name": "settings-of-a-test"}}]
        ),
        configmap="settings-of-a-test",
    )
    journey.core.delete_namespaced_config_map("settings-of-a-test", "default")
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"configmap \S?settings-of-a-test\S? not found")
    journey.sees(r"{app} is back on 1\.0\.0, rolled back")


def test_an_init_container_that_fails_is_named_with_its_last_log_lines(start: Start) -> None:
    """It ends well when the app starts, and crashes when its next version does."""
    settings = "settings-of-an-init-container"
    prepare = {
        "name": "prepare",
        "image": "pilothouse/hello:1.0.0",
        "envFrom": [{"configMapRef": {"name": settings}}],
    }
    journey = start(
        2,
        lambda deployment: deployment["spec"]["template"]["spec"].update(initContainers=[prepare]),
        configmap=settings,
        data={"CRASH": "done"},
    )
    journey.core.patch_namespaced_config_map(settings, "default", {"data": {"CRASH": "start"}})
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"prepare restarted \d times?, last ended with exit code 1")
    journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    lines = journey.until(journey.log_lines, "the log lines")
    assert "panic: could not connect to db.internal:5432: connection refused" in lines


def test_a_roll_loses_no_more_requests_than_kubectls(
    start: Start, real_nodes: RealNodes, record_property: Callable[[str, object], None]
) -> None:
    """Of an app that closes its listener at once on SIGTERM. Chance differs; twice as many, and
    20 more, would be another way of rolling."""
    journey = start(4)
    with journey.traffic() as ours:
        journey.say("/deploy {app} 2.0.0")
        journey.sees(r"{app} is on 2\.0\.0")
        journey.until(lambda: ours.newest(100) == {"2.0.0": 100}, "only the new version")
    lost = lost_by_kubectl(journey, real_nodes, "3.0.0")
    record_property("lost", f"{len(ours.lost())} of {len(ours.requests())}")
    record_property("lost by kubectl", lost)
    assert len(ours.lost()) <= 2 * lost + 20


def test_a_slow_start_is_waited_for_and_takes_no_request_before_its_time(start: Start) -> None:
    journey = start(2, drains)
    with journey.traffic(50) as traffic:
        journey.say("/deploy {app} slow")
        journey.sees(r"{app} is on slow")
        journey.until(lambda: traffic.newest(20) == {"slow": 20}, "only the new version")
    assert traffic.lost() == []
    first = min(one.began for one in traffic.requests() if one.version == "slow")
    started = min(
        pod.status.container_statuses[0].state.running.started_at.timestamp()
        for pod in journey.pods()
    )
    assert first - started >= 6.0 - 1.0, "Kubernetes gives a start in whole seconds"


def test_a_readiness_probe_that_fails_is_shown_while_the_release_waits(start: Start) -> None:
    journey = start(2, drains)
    with journey.traffic(50) as traffic:
        journey.say("/deploy {app} unready")
        journey.sees(r"readiness probe fails|running, but not ready")
        journey.say("/rollout abort {app}")
        journey.sees(r"{app} is back on 1\.0\.0, aborted")
    assert traffic.versions().keys() == {"1.0.0"}
    assert traffic.lost() == []


def test_pods_that_the_scheduler_cannot_place_apart_are_shown_with_its_words(start: Start) -> None:
    """One pod a node, two nodes, and a third pod wanted by the roll."""

    def apart(deployment: dict[str, Any]) -> None:
        template = deployment["spec"]["template"]
        rule = {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": template["metadata"]["labels"]},
        }
        affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
        template["spec"]["affinity"] = affinity

    journey = start(2, apart)
    assert {pod.spec.node_name for pod in journey.pods()} == {"node-1", "node-2"}
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"Unschedulable")
    journey.say("/pods {app}")
    journey.sees(r"didn't match pod anti-affinity rules")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
