"""Rollouts that the bot did not start, and scaling that cannot succeed: the commands work on
whatever runs, or say why not."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from kubernetes import client

from bot.store.connection import PREFIX, connect
from tests.faults.stage import as_started, start_again
from tests.journeys.conftest import DEVELOPER, VIEWER, WATCHED, Ground, Journey
from tests.journeys.endpoints import newest, sees_privately


def set_image(journey: Journey, version: str) -> None:
    """What `kubectl set image` does."""
    name = journey.deployment().spec.template.spec.containers[0].name
    body = {
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": name, "image": f"pilothouse/{journey.app}:{version}"}]
                }
            }
        }
    }
    journey.deployments.patch_namespaced_deployment(
        journey.app, "default", body, field_manager="kubectl-set"
    )


def set_min_ready_seconds(journey: Journey, seconds: int) -> None:
    journey.deployments.patch_namespaced_deployment(
        journey.app, "default", {"spec": {"minReadySeconds": seconds}}, field_manager="kubectl-edit"
    )


def complete(journey: Journey, version: str) -> None:
    journey.until(lambda: journey.versions() == {version: 5}, f"5 pods of {version} and no others")
    journey.until(lambda: journey.deployment().status.available_replicas == 5, "all available")


@pytest.mark.slow
def test_a_rollout_started_with_kubectl_can_be_paused_resumed_and_undone(
    journey: Journey,
) -> None:
    set_min_ready_seconds(journey, 300)  # the roll stays at its first pods
    set_image(journey, "2.0.0")
    journey.until(lambda: journey.versions().get("2.0.0"), "the first new pod")
    journey.say("/rollout pause {app}")
    journey.sees(r"deployment {app} paused")
    assert journey.deployment().spec.paused
    journey.until(lambda: set(journey.versions()) == {"1.0.0", "2.0.0"}, "both versions")
    journey.say("/pods {app}", user=VIEWER)
    journey.sees(r"stable, revision 2 \(2\.0\.0\).*stable, revision 1 \(1\.0\.0\)", user=VIEWER)
    journey.say("/rollout status {app}")
    journey.sees(r"Waiting for deployment \"{app}\" rollout to finish: .* yes ")
    journey.say("/scale {app} 7")
    journey.sees(r"{app} is half-rolled")
    set_min_ready_seconds(journey, 0)
    journey.say("/rollout resume {app}")
    journey.sees(r"deployment {app} resumed")
    complete(journey, "2.0.0")
    journey.say("/rollout undo {app}")
    journey.sees(r"{app} is on 1\.0\.0")
    complete(journey, "1.0.0")


def test_a_version_set_with_kubectl_can_be_restarted_and_is_in_the_history(
    journey: Journey,
) -> None:
    set_image(journey, "2.0.0")
    complete(journey, "2.0.0")
    before = journey.pod_names()
    journey.say("/rollout restart {app}")
    journey.sees(r"{app} is on 2\.0\.0, restarted")
    assert len(journey.pod_names() - before) == 5
    journey.say("/rollout history {app}")
    journey.sees(
        r"2 +pilothouse/{app}:2\.0\.0 +.*3 \(current\) +pilothouse/{app}:2\.0\.0 +restart by"
        r" developer"
    )


@pytest.mark.slow
def test_pods_shows_restarts_and_the_time_of_the_last(journey: Journey) -> None:
    set_image(journey, "2.0.0-crash")
    journey.say("/pods {app}")
    journey.until(lambda: restarted(journey), "a container that came back")
    journey.say("/pods {app}")
    told = journey.sees(r"2\.0\.0-crash +0/1 +\w+ +[1-9]\d* \(\d+s ago\)")
    assert "revision 2 (2.0.0-crash)" in told and "0% of" in told
    journey.say("/rollout undo {app}")
    journey.sees(r"{app} is on 1\.0\.0")


def restarted(journey: Journey) -> bool:
    pods: list[Any] = journey.core.list_namespaced_pod(
        "default", label_selector=f"app={journey.app}"
    ).items
    return any(
        status.restart_count >= 1 for pod in pods for status in pod.status.container_statuses or ()
    )


@pytest.mark.slow
def test_an_undo_to_an_unknown_revision_is_refused_privately_without_a_card(
    journey: Journey,
) -> None:
    since = newest(journey, DEVELOPER)
    journey.say("/rollout undo {app} --to-revision 99")
    sees_privately(journey, rf"{journey.app} has no revision 99. It has 1", DEVELOPER, since)
    assert journey.untouched()
    assert "none yet" in journey.say("/pilothouse releases {app}")
    assert not [m for m in journey.messages(VIEWER) if "revision 99" in m["text"]]


@pytest.mark.slow
@pytest.mark.usefixtures("only_simulated")
def test_unschedulable_pods_show_why_and_the_scale_can_be_aborted(
    journey: Journey,
) -> None:
    container = journey.deployment().spec.template.spec.containers[0].name
    requests = {"resources": {"requests": {"cpu": nearly_half_a_node(journey)}}}
    body = {"spec": {"template": {"spec": {"containers": [{"name": container, **requests}]}}}}
    journey.deployments.patch_namespaced_deployment(journey.app, "default", body)
    journey.until(
        lambda: (
            journey.deployment().status.updated_replicas == 5 and journey.versions() == {"1.0.0": 5}
        ),
        "5 heavy pods",
    )
    journey.until(lambda: journey.deployment().status.available_replicas == 5, "all available")
    journey.say("/scale {app} 9")
    told = journey.sees(r"{app} .*9.*Insufficient cpu")
    assert "Unschedulable" in told
    journey.say("/pods {app}")
    journey.sees(r"Unschedulable|Pending")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} (is back|has 5 pods)")
    assert journey.deployment().spec.replicas == 5


def nearly_half_a_node(journey: Journey) -> str:
    """Two such pods fit on each of the three nodes: six in all."""
    cpu = min(int(node.status.allocatable["cpu"]) for node in journey.core.list_node().items)
    return f"{cpu * 450}m"


@pytest.mark.slow
def test_scale_names_an_autoscaler_that_would_revert_it(
    journey: Journey,
) -> None:
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": journey.app},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": journey.app},
            "minReplicas": 2,
            "maxReplicas": 8,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 80},
                    },
                }
            ],
        },
    }
    client.AutoscalingV2Api(journey.api).create_namespaced_horizontal_pod_autoscaler(
        "default", scaler
    )
    journey.say("/scale {app} 7")
    journey.sees(r"HorizontalPodAutoscaler {app} keeps {app} between 2 and 8 replicas")
    assert journey.deployment().spec.replicas == 5
    assert "may have 1 to 20 replicas, not 100" in journey.say("/scale {app} 100")


def test_the_channel_follows_a_rollout_of_kubectl_which_a_button_undoes(journey: Journey) -> None:
    journey.say("/rollout restart {app}")
    journey.sees(r"{app} is on 1\.0\.0, restarted")
    set_image(journey, "2.0.0")
    journey.sees(r"{app} has rolled: 1\.0\.0 → 2\.0\.0, took .*\nStarted by kubectl-set")
    told = [m for m in journey.messages() if "1.0.0 → 2.0.0" in m["text"]]
    assert len(told) == 1
    journey.click("Roll back to 1.0.0 (2)", user=DEVELOPER)
    journey.sees(r"Undo {app} 2\.0\.0 → 1\.0\.0 · {app} is on 1\.0\.0")
    complete(journey, "1.0.0")


@pytest.mark.slow
def test_a_broken_rollout_of_kubectl_is_named_with_its_cause(journey: Journey) -> None:
    set_image(journey, "missing")
    journey.sees(r"{app}, rolled by kubectl-set outside Pilothouse, fails: .*missing")
    journey.sees(r"{app} fails: 1\.0\.0 → missing")
    set_image(journey, "1.0.0")
    journey.sees(r"{app} has rolled: 1\.0\.0 → missing, and back")


@pytest.mark.slow
def test_a_rollout_while_no_watcher_ran_is_told_once_when_one_is_back(journey: Journey) -> None:
    set_image(journey, "2.0.0")
    journey.sees(r"{app} has rolled: 1\.0\.0 → 2\.0\.0, took")
    worker = journey.sandbox.part("worker")
    words, environment = as_started(worker)
    worker.process.send_signal(signal.SIGTERM)  # killed, its children live for a moment
    worker.process.wait()
    set_image(journey, "3.0.0")
    complete(journey, "3.0.0")
    for _ in range(2):  # the second start has nothing to tell
        worker.process = start_again(words, environment, worker.log)
        journey.sees(
            r"{app} has rolled: 2\.0\.0 → 3\.0\.0\nStarted by kubectl-set, outside Pilothouse, "
            "while Pilothouse was not watching"
        )
        journey.say("/rollout status {app}")
        journey.sees(r"{app} .*3\.0\.0")
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait()
    worker.process = start_again(words, environment, worker.log)
    told = [m for m in journey.messages() if "2.0.0 → 3.0.0" in m["text"]]
    assert len(told) == 1


@pytest.mark.usefixtures("only_simulated")  # the rights of the other clusters end at `default`
def test_a_rollout_of_a_deployment_that_only_its_namespace_has_watched_is_told(
    ground: Ground,
) -> None:
    journey = ground.journey("unlisted")
    known = f"{PREFIX}passing:watched:local/{WATCHED}"
    journey.until(lambda: connect(journey.sandbox.redis.url).exists(known), "a first list of it")
    image = {"name": "unlisted", "image": "pilothouse/unlisted:2.0.0"}
    body = {"spec": {"template": {"spec": {"containers": [image]}}}}
    journey.deployments.patch_namespaced_deployment(
        "unlisted", WATCHED, body, field_manager="kubectl-set"
    )
    told = journey.sees(rf"{WATCHED}/unlisted has rolled: 1\.0\.0 → 2\.0\.0, took")
    assert "Started by kubectl-set, outside Pilothouse" in told
    assert journey.with_button("Roll back to 1.0.0") is None
