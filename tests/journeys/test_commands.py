"""The other commands of a day: scale, restart, undo, history, status, pods, get, explain, traffic."""

from __future__ import annotations

from tests.journeys.conftest import ADMIN, VIEWER, Journey


def test_scale_follows_until_the_pods_are_ready_and_is_a_release_of_its_own(journey: Journey) -> None:
    journey.say("/scale {app} 3")
    journey.sees(r"{app} has 3 pods")
    assert journey.deployment().spec.replicas == 3
    assert "5 pods" in journey.say("/pilothouse releases {app}")


def test_restart_replaces_every_pod_on_the_same_image(journey: Journey) -> None:
    before = {pod.metadata.name for pod in journey.core.list_namespaced_pod("default", label_selector=f"app={journey.app}").items}
    journey.say("/rollout restart {app}")
    journey.sees(r"{app} is on 1\.0\.0, restarted")
    after = {
        pod.metadata.name
        for pod in journey.core.list_namespaced_pod("default", label_selector=f"app={journey.app}").items
        if pod.metadata.deletion_timestamp is None
    }
    assert not before & after
    assert journey.versions() == {"1.0.0": 5}


def test_undo_goes_to_the_version_that_a_release_saw_healthy(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/rollout undo {app}")
    journey.sees(r"{app} is on 1\.0\.0")
    assert journey.versions() == {"1.0.0": 5}


def test_undo_without_anything_to_go_back_to_says_so(journey: Journey) -> None:
    journey.say("/rollout undo {app}")
    journey.sees(r"{app} has no earlier revision")


def test_history_tells_revisions_with_image_cause_and_verdict(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/rollout history {app}")
    told = journey.sees(r"{app}: revisions of deployment")
    assert f"pilothouse/{journey.app}:1.0.0" in told
    assert "2 (current)" in told
    assert "healthy" in told


def test_pods_shows_every_pod_with_its_image(journey: Journey) -> None:
    journey.say("/pods {app}", user=VIEWER)
    told = journey.sees(r"{app} \(stable\), revision 1: 5 pods, 100 % of 5 ready endpoints", user=VIEWER)
    assert told.count(f"pilothouse/{journey.app}:1.0.0") == 5


def test_status_says_what_kubectl_says(journey: Journey) -> None:
    journey.say("/rollout status {app}")
    journey.sees(r'deployment "{app}" successfully rolled out')


def test_a_deployment_without_a_release_is_paused_and_resumed(journey: Journey) -> None:
    journey.say("/rollout pause {app}")
    journey.until(lambda: journey.deployment().spec.paused, "the Deployment paused")
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is paused: resume it first")
    journey.say("/rollout resume {app}")
    journey.until(lambda: not journey.deployment().spec.paused, "the Deployment resumed")


def test_get_shows_kubectls_columns_to_the_person_alone(journey: Journey) -> None:
    journey.say("/pilothouse get deployments {app}")
    told = journey.sees(r"UP-TO-DATE")
    assert "5/5" in told


def test_traffic_tells_the_share_of_ready_endpoints(journey: Journey) -> None:
    journey.say("/traffic {app}")
    assert "100 %" in journey.sees(r"{app}: ready endpoints")


def test_a_freeze_stops_new_releases_but_an_admins_with_a_reason_until_it_is_lifted(journey: Journey) -> None:
    journey.say('/freeze {app} reason="incident"', user=ADMIN)
    assert "incident" in journey.say("/deploy {app} 2.0.0")
    journey.say('/deploy {app} 2.0.0 reason="the fix"', user=ADMIN)
    assert "in spite of a freeze" in journey.sees(r"{app} 1\.0\.0 → 2\.0\.0.*the fix")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/unfreeze {app}", user=ADMIN)
    journey.say("/deploy {app} 3.0.0")
    journey.sees(r"{app} is on 3\.0\.0")


def test_a_claim_that_kubectls_undo_brought_back_does_not_stop_the_next_release(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    # what `kubectl rollout undo` does: the template and the annotations of the ReplicaSet go back to the Deployment
    stale = {"metadata": {"annotations": {"pilothouse.dev/release": f"{journey.app}-1"}}}
    journey.deployments.patch_namespaced_deployment(journey.app, "default", stale, field_manager="kubectl-rollout")
    journey.say("/deploy {app} 3.0.0")
    journey.sees(r"{app} is on 3\.0\.0")
    assert "pilothouse.dev/release" not in journey.deployment().metadata.annotations
