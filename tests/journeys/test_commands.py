"""The other commands: scale, restart, undo, history, status, pods, get, explain, traffic."""

from __future__ import annotations

import re

import pytest

from tests.card_buttons import newest_offer, press
from tests.journeys.conftest import ADMIN, CHANNEL, VIEWER, Journey
from tests.journeys.endpoints import newest, sees_privately


def test_scale_is_a_release_that_ends_when_the_pods_are_ready(
    journey: Journey,
) -> None:
    journey.say("/scale {app} 3")
    journey.sees(r"{app} has 3 pods")
    assert journey.deployment().spec.replicas == 3
    assert "5 pods" in journey.say("/pilothouse releases {app}")


def test_a_command_is_followed_from_slack_to_kubernetes_by_one_id(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    logs = "\n".join(part.log.read_text(encoding="utf-8") for part in journey.sandbox.parts)
    lines = re.findall(rf"release={journey.app}-1 app=.*", logs)
    ids = {line.rpartition(" request=")[2].partition(" ")[0] for line in lines}
    assert len(ids) == 1 and len(lines) > 3
    (asked,) = ids
    assert re.search(rf"request={asked} command=deploy user=U0DEV1 .* slack=command:", logs)
    writes = journey.writes()
    assert {one["agent"].partition(" ")[2] for one in writes} == {
        f"(release={journey.app}-1; request={asked})"
    }


@pytest.mark.slow
def test_restart_replaces_every_pod_and_keeps_the_image(journey: Journey) -> None:
    before = journey.pod_names()
    journey.say("/rollout restart {app}")
    journey.sees(r"{app} is on 1\.0\.0, restarted")
    assert not before & journey.pod_names()
    assert journey.versions() == {"1.0.0": 5}


def test_undo_returns_to_the_last_version_seen_healthy(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/rollout undo {app}")
    journey.sees(r"{app} is on 1\.0\.0")
    assert journey.versions() == {"1.0.0": 5}


@pytest.mark.slow
def test_undo_without_an_earlier_version_says_so(journey: Journey) -> None:
    journey.say("/rollout undo {app}")
    journey.sees(r"{app} has no earlier revision")


@pytest.mark.slow
def test_history_lists_image_cause_and_verdict_of_each_revision(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/rollout history {app}")
    told = journey.sees(r"{app}: revisions of deployment")
    found, made = (line.split("  ") for line in told.splitlines()[-2:])
    assert f"pilothouse/{journey.app}:1.0.0" in found and "healthy" in found
    assert "2 (current)" in made
    assert "developer" in made, "who"
    assert "WHEN (UTC)" in told
    assert any(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", cell) for cell in made), "when"
    assert f"healthy ({journey.app}-1)" in made
    journey.say("/rollout history {app} --revision=1")
    one = journey.sees(r"Pod template of revision 1")
    assert "2 (current)" not in one
    assert re.search(
        rf"spec\.containers\.{journey.app}\.image +pilothouse/{journey.app}:1\.0\.0", one
    )


@pytest.mark.slow
def test_pods_shows_every_pod_with_its_image(journey: Journey) -> None:
    journey.say("/pods {app}", user=VIEWER)
    told = journey.sees(
        r"stable, revision 1 \(1\.0\.0\): 5 pods, 100% of 5 ready endpoints", user=VIEWER
    )
    assert told.count(f"pilothouse/{journey.app}:1.0.0") == 5
    assert (
        len(
            re.findall(
                rf"^stable +1\.0\.0 +1/1 +Running +0 +{journey.app}-\w+-\w+ +1 ", told, re.MULTILINE
            )
        )
        == 5
    )


def test_status_says_what_kubectl_says(journey: Journey) -> None:
    journey.say("/rollout status {app}")
    journey.sees(r'deployment "{app}" successfully rolled out')


def test_pause_and_resume_work_without_a_release(journey: Journey) -> None:
    journey.say("/rollout pause {app}")
    journey.until(lambda: journey.deployment().spec.paused, "the Deployment paused")
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is paused. Resume it first")
    journey.say("/rollout resume {app}")
    journey.until(lambda: not journey.deployment().spec.paused, "the Deployment resumed")


@pytest.mark.slow
def test_get_shows_the_columns_of_kubectl_privately(journey: Journey) -> None:
    for kind, columns in {
        "deployments": r"UP-TO-DATE.*\b5/5\b",
        "replicasets": r"DESIRED +CURRENT +READY",
        "pods": r"5 pods in default.*RESTARTS",
        "services": r"CLUSTER-IP +EXTERNAL-IP",
        "events": r"LAST SEEN +TYPE +REASON",
        "pods {app} wide": r"NOMINATED NODE",
    }.items():
        journey.say(
            f"/pilothouse get {kind}" if "{app}" in kind else f"/pilothouse get {kind} {{app}}"
        )
        journey.sees(columns)
    assert not [m for m in journey.messages(VIEWER) if "CLUSTER-IP" in m["text"]]


@pytest.mark.slow
def test_explain_reads_the_cluster_schema_and_sends_a_long_tree_as_a_file(
    journey: Journey,
) -> None:
    def seen(*words: str) -> bool:
        return any(
            all(word in m["text"] for word in words)
            for m in journey.sandbox.slack.messages(CHANNEL, VIEWER)
        )

    journey.say("/pilothouse explain deploy.spec.replicas", user=VIEWER)
    journey.until(lambda: seen("KIND:       Deployment", "FIELD: replicas"), "the field")
    journey.say("/pilothouse explain deploy.spec.replicaz", user=VIEWER)
    journey.until(lambda: seen("no field `replicaz`; nearest: replicas"), "the nearest field")
    journey.say("/pilothouse explain replicaset --recursive", user=VIEWER)
    journey.until(lambda: seen("KIND:       ReplicaSet", "metadata"), "the top of the tree")
    file = journey.until(lambda: journey.file_of(VIEWER, "replicaset.txt"), "the whole tree")
    assert "terminationGracePeriodSeconds" in file


def test_traffic_shows_the_share_of_ready_endpoints(journey: Journey) -> None:
    journey.say("/traffic {app}")
    assert "100%" in journey.sees(r"{app}: ready endpoints")


def test_a_freeze_stops_all_releases_except_an_admins_with_a_reason(
    journey: Journey,
) -> None:
    journey.say('/freeze {app} reason="incident"', user=ADMIN)
    journey.sees("{app} is frozen: incident")
    assert "incident" in journey.say("/deploy {app} 2.0.0")
    journey.say('/deploy {app} 2.0.0 reason="this is the fix"', user=ADMIN)
    assert "despite a freeze" in journey.sees(r"{app} 1\.0\.0 → 2\.0\.0.*this is the fix")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.click("Unfreeze", user=ADMIN)
    journey.sees("{app} is no longer frozen: lifted by")
    journey.say("/deploy {app} 3.0.0")
    journey.sees(r"{app} is on 3\.0\.0")


@pytest.mark.slow
def test_a_claim_restored_by_kubectl_undo_does_not_block_the_next_release(
    journey: Journey,
) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    # what `kubectl rollout undo` does: the template and the annotations of the ReplicaSet go back
    # to the Deployment
    stale = {"metadata": {"annotations": {"pilothouse.dev/release": f"{journey.app}-1"}}}
    journey.deployments.patch_namespaced_deployment(
        journey.app, "default", stale, field_manager="kubectl-rollout"
    )
    journey.say("/deploy {app} 3.0.0")
    journey.sees(r"{app} is on 3\.0\.0")
    assert "pilothouse.dev/release" not in journey.deployment().metadata.annotations


@pytest.mark.slow
def test_the_list_of_apps_shows_what_runs_even_without_a_release(
    journey: Journey,
) -> None:
    slack, since = journey.sandbox.slack, newest(journey, VIEWER)
    journey.say("/pilothouse apps", user=VIEWER)
    sees_privately(journey, "NAMESPACE", VIEWER, since)
    (answer,) = [
        m for m in slack.messages(CHANNEL, VIEWER, after=since) if "NAMESPACE" in m["text"]
    ]
    whole = newest_offer([answer], "Send all as a file")
    assert whole is not None
    press(slack, VIEWER, CHANNEL, whole)
    rows = journey.until(
        lambda: journey.file_of(VIEWER, "apps.txt"), "the whole list, which no message holds"
    )
    assert re.search(rf"^{journey.app} +1\.0\.0 .*rolling", rows, re.MULTILINE)
    assert not [m for m in journey.messages(ADMIN) if "NAMESPACE" in m["text"]]


@pytest.mark.slow
def test_whoami_answers_privately(journey: Journey) -> None:
    assert "viewer" in journey.say("/pilothouse whoami", user=VIEWER)
    assert "/deploy" in journey.say("/pilothouse help", user=VIEWER)
    assert "canary" in journey.say("/pilothouse help deploy", user=VIEWER)
    assert not [m for m in journey.messages(ADMIN) if "NAMESPACE" in m["text"]]


@pytest.mark.slow
def test_a_release_that_is_over_is_told_again_and_compared(journey: Journey) -> None:
    journey.say('/deploy {app} 2.0.0 reason="faster start"')
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/release {app}-1", user=VIEWER)
    step = r"to 2\.0\.0 · (\d+|under 1) s"
    journey.sees(rf"{{app}}-1, started by .* at .*: faster start\n.*{step}", user=VIEWER)
    journey.click("Compare", user=VIEWER)
    compared = journey.sees(r"{app}-1: {app} before and after", user=VIEWER)
    assert re.search(r"image: \S+:1\.0\.0 → \S+:2\.0\.0", compared)
    assert not [m for m in journey.messages() if "before and after" in m["text"]]
