"""Pods do what their image says, in the words of kubelet."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.cluster import ImageBehaviour, SimulatedCluster
from sandbox.cluster.controllers.images import ImageRuleError, ImageRules, is_valid_reference
from tests.contracts.cluster_api.server import Json, Namespace, condition, deployment, wait_for

pytestmark = pytest.mark.slow


def waiting_as(namespace: Namespace, reason: str) -> Json:
    """The first pod that waits for this reason."""

    def probe() -> Json | None:
        for pod in namespace.items("pods"):
            for status in pod["status"].get("containerStatuses") or ():
                if (status["state"].get("waiting") or {}).get("reason") == reason:
                    return pod
        return None

    return wait_for(probe, f"a pod in {reason}")


def state_of(pod: Json) -> Json:
    found: Json = pod["status"]["containerStatuses"][0]
    return found


def test_a_pod_goes_from_creating_to_running_to_ready(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    (name,) = [pod["metadata"]["name"] for pod in namespace.items("pods")]
    states: list[tuple[str, bool]] = []
    for write in cluster.history():
        if (
            write.resource == "pods"
            and write.name == name
            and write.obj["status"].get("containerStatuses")
        ):
            status = write.obj["status"]["containerStatuses"][0]
            state = status["state"].get("waiting", {}).get("reason") or next(iter(status["state"]))
            if not states or states[-1] != (state, status["ready"]):
                states.append((state, status["ready"]))
    assert states == [("ContainerCreating", False), ("running", False), ("running", True)]


def test_a_missing_image_is_reported_in_the_words_of_the_runtime(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(image="kelseyhightower/hello:missing", replicas=1))
    pod = waiting_as(namespace, "ErrImagePull")
    reference = "docker.io/kelseyhightower/hello:missing"
    assert (
        state_of(pod)["state"]["waiting"]["message"]
        == f'rpc error: code = NotFound desc = failed to pull and unpack image "{reference}":'
        f' failed to resolve reference "{reference}": {reference}: not found'
    )
    backing_off = state_of(waiting_as(namespace, "ImagePullBackOff"))["state"]["waiting"]["message"]
    assert backing_off.startswith(
        'Back-off pulling image "kelseyhightower/hello:missing": ErrImagePull: rpc error'
    )
    assert pod["status"]["phase"] == "Pending"
    events = namespace.items(
        "events", fieldSelector=f"involvedObject.name={pod['metadata']['name']}"
    )
    told = [event["message"] for event in events if event["reason"] == "Failed"]
    assert any(
        text.startswith('Failed to pull image "kelseyhightower/hello:missing": rpc error')
        for text in told
    )


def test_a_crashing_container_backs_off_and_keeps_its_last_state_and_logs(
    namespace: Namespace,
) -> None:
    namespace.made("deployments", deployment(image="example/hello:crash", replicas=1))
    waiting_as(namespace, "CrashLoopBackOff")

    def restarted() -> Json | None:
        (pod,) = namespace.items("pods")
        return (
            pod
            if state_of(pod)["restartCount"] >= 2 and "waiting" in state_of(pod)["state"]
            else None
        )

    pod = wait_for(restarted, "two restarts")
    ended = state_of(pod)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert "back-off" in state_of(pod)["state"]["waiting"]["message"]
    name = pod["metadata"]["name"]
    log = namespace.http.get(
        namespace.path("pods", name, "log"), params={"previous": "true", "tailLines": "2"}
    )
    assert log.text.splitlines() == ["panic: cannot connect to the database", "exit status 1"]
    assert condition(pod, "Ready")["reason"] == "ContainersNotReady"


def test_a_container_that_ended_once_starts_again_at_once(namespace: Namespace) -> None:
    """The kubelet's back-off begins with the second restart: at "back-off 1m20s" it has counted
    four (recorded from a real node)."""
    namespace.made("deployments", deployment(image="example/hello:crash", replicas=1))
    pod = waiting_as(namespace, "CrashLoopBackOff")
    assert state_of(pod)["restartCount"] >= 1
    again = wait_for(lambda: _backing_off(namespace, "0.4s"), "the second back-off")
    assert state_of(again)["restartCount"] == 2


def _backing_off(namespace: Namespace, delay: str) -> Json | None:
    (pod,) = namespace.items("pods")
    message = str(state_of(pod)["state"].get("waiting", {}).get("message", ""))
    return pod if message.startswith(f"back-off {delay} ") else None


def test_a_container_out_of_memory_ends_with_137(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(image="example/hello:oom", replicas=1))
    ended = state_of(waiting_as(namespace, "CrashLoopBackOff"))["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_a_container_waits_for_a_missing_secret(
    namespace: Namespace,
) -> None:
    body = deployment(replicas=1)
    reference = {"secretKeyRef": {"name": "keys", "key": "token"}}
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "TOKEN", "valueFrom": reference}
    ]
    namespace.made("deployments", body)
    pod = waiting_as(namespace, "CreateContainerConfigError")
    assert state_of(pod)["state"]["waiting"]["message"] == 'secret "keys" not found'
    namespace.made("secrets", {"metadata": {"name": "keys"}, "stringData": {"token": "x"}})
    namespace.wait_complete("hello")


def test_an_invalid_image_name_is_reported(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(image="Example//hello:1", replicas=1))
    message = state_of(waiting_as(namespace, "InvalidImageName"))["state"]["waiting"]["message"]
    assert "couldn't parse image name" in message


def test_a_rule_can_fail_a_share_of_the_pods(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    cluster.set_image("example/hello:3.*", ImageBehaviour("crash", share=0.5))
    namespace.made("deployments", deployment(image="example/hello:3.0.0", replicas=20))

    def settled() -> tuple[int, int] | None:
        pods = [pod for pod in namespace.items("pods") if pod["status"].get("containerStatuses")]
        ready = sum(1 for pod in pods if condition(pod, "Ready").get("status") == "True")
        failed = sum(
            1 for pod in pods if state_of(pod)["restartCount"] or state_of(pod)["lastState"]
        )
        return (ready, failed) if ready + failed == 20 else None

    ready, failed = wait_for(settled, "all pods decided")
    assert ready > 0
    assert failed > 0


def test_a_changed_rule_takes_effect_in_running_pods(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    namespace.made("deployments", deployment(replicas=1))
    namespace.wait_complete("hello")
    cluster.set_image("example/hello:1.0.0", "unready")
    wait_for(
        lambda: not namespace.read("deployments", "hello")["status"].get("readyReplicas"),
        "no ready pod",
    )
    cluster.set_image("example/hello:1.0.0", "ready")
    namespace.wait_complete("hello")


def test_logs_of_a_container_that_never_started_are_refused(namespace: Namespace) -> None:
    namespace.made("deployments", deployment(image="example/hello:missing", replicas=1))
    pod = waiting_as(namespace, "ImagePullBackOff")
    answer = namespace.get("pods", pod["metadata"]["name"], "log")
    assert answer.status_code == 400
    assert "is waiting to start: trying and failing to pull image" in answer.json()["message"]


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("example/hello:2.0.0", "ready"),
        ("example/hello:2.0.0-crash", "crash"),
        ("example/missing-things:1", "ready"),
        ("example/hello:missing", "missing"),
        ("example/hello:unready", "unready"),
        ("UPPER/hello:1", "ready"),
        ("example/Hello:1", "invalid-name"),
    ],
)
def test_the_tag_decides_the_behaviour_without_a_rule(image: str, kind: str) -> None:
    assert ImageRules().of(image).kind == kind


def test_images_outside_the_known_ones_are_missing() -> None:
    rules = ImageRules(known=["example/hello:1.*"])
    assert rules.of("example/hello:1.2").kind == "ready"
    assert rules.of("example/hello:2.0").kind == "missing"


def test_an_unknown_behaviour_is_refused_with_a_list_of_known_ones() -> None:
    with pytest.raises(
        ImageRuleError, match="unknown image behaviour 'explode'; known are ready, missing"
    ):
        ImageBehaviour("explode")


@pytest.mark.parametrize(
    ("image", "valid"),
    [
        ("nginx", True),
        ("nginx:1.9.14", True),
        ("localhost:5000/a/b:tag", True),
        ("a/b@sha256:" + "0" * 64, True),
        ("a/b:", False),
        (" a", False),
        ("a/B", False),
    ],
)
def test_image_references(image: str, valid: Any) -> None:
    assert is_valid_reference(image) is valid


def test_a_pod_that_begins_to_answer_with_errors_stays_ready(
    namespace: Namespace, cluster: SimulatedCluster
) -> None:
    for name in ("turning", "waiting"):
        image = f"kelseyhightower/{name}:1.0.0"
        namespace.made("deployments", deployment(name, image=image, replicas=1))
        namespace.wait_complete(name)
    before = len(cluster.history())
    cluster.set_image("kelseyhightower/turning:*", ImageBehaviour("sick"))
    cluster.set_image("kelseyhightower/waiting:*", ImageBehaviour("unready"))

    def unready() -> set[str]:
        written = [one for one in cluster.history()[before:] if one.resource == "pods"]
        return {one.name.split("-")[0] for one in written if not state_of(one.obj)["ready"]}

    assert wait_for(unready, "the second change, which the kubelet takes up after the first") == {
        "waiting"
    }
