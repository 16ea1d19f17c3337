"""A rolling release from the typed command to the last word."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.journeys.conftest import CHANNEL, DEVELOPER, MANAGER, VIEWER, Journey


def test_a_deploy_updates_every_pod_and_changes_nothing_else(
    journey: Journey,
) -> None:
    before, service = journey.as_found()
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} → 2\.0\.0 rolling: started as {app}-1", user=DEVELOPER)
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0")
    journey.sees(r"{app} is on 2\.0\.0")
    assert journey.versions() == {"2.0.0": 5}
    after, service_after = journey.as_found()
    after["spec"]["template"]["spec"]["containers"][0]["image"] = f"pilothouse/{journey.app}:1.0.0"
    assert after["spec"] == before["spec"]
    assert after["labels"] == before["labels"]
    assert service_after == service
    assert "pilothouse.dev/release" not in (journey.deployment().metadata.annotations or {})


def test_a_failed_pull_is_reported_with_its_cause_and_rolled_back_to_as_found(
    journey: Journey,
) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} missing")
    told = journey.sees(r"cannot be pulled: not found")
    assert f"pilothouse/{journey.app}:missing" in told
    journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    journey.until(lambda: journey.versions() == {"1.0.0": 5}, "all pods on 1.0.0")
    assert journey.as_found() == found


@pytest.mark.slow
def test_a_rollback_reuses_the_old_replica_set(journey: Journey) -> None:
    revision = journey.deployments.list_namespaced_replica_set(
        "default", label_selector=f"app={journey.app}"
    ).items[0]
    journey.say("/deploy {app} missing")
    journey.sees(r"{app} is back on 1\.0\.0")
    sets = {rs.metadata.name: rs.spec.replicas for rs in _replica_sets(journey)}
    assert sets[revision.metadata.name] == 5
    assert sum(sets.values()) == 5


def _replica_sets(journey: Journey) -> list[Any]:
    found: list[Any] = journey.deployments.list_namespaced_replica_set(
        "default", label_selector=f"app={journey.app}"
    ).items
    return found


@pytest.mark.slow
def test_fifty_identical_commands_start_one_release(journey: Journey) -> None:
    with ThreadPoolExecutor(
        10
    ) as people:  # a version that is never ready, so that the release runs until the last has typed
        list(people.map(lambda _: journey.say("/deploy {app} unready"), range(50)))

    def receipts() -> list[str]:
        seen = (one["text"] for one in journey.messages(DEVELOPER))
        return re.findall(rf" as ({journey.app}-\d+)", "\n".join(seen))

    def has_come(number: int) -> bool:
        return len(receipts()) >= number

    for number in range(1, 51):  # patience for each, and not for all of them together
        journey.until(partial(has_come, number), f"receipt {number} of 50")
    named = set(receipts())
    assert named == {f"{journey.app}-1"}

    def patches() -> list[str]:
        return [
            write["verb"]
            for write in journey.writes()
            if write["verb"] == "patch" and write["name"] == journey.app
        ]

    journey.until(lambda: journey.versions().get("unready"), "the first new pods")
    assert len(patches()) == 1, "the claim with the image"
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    journey.until(lambda: len(patches()) >= 3, "the way back, and the letting go")
    assert len(patches()) == 3


@pytest.mark.slow
def test_a_release_can_be_paused_and_resumed(journey: Journey) -> None:
    journey.say("/deploy {app} unready")
    journey.until(lambda: journey.versions().get("unready"), "the first new pods")
    journey.say("/rollout pause {app}")
    journey.until(lambda: journey.deployment().spec.paused, "the Deployment paused")
    assert "paused" in journey.sees(r"{app} 1\.0\.0 → unready rolling.*paused")
    journey.say("/rollout resume {app}")
    journey.until(lambda: not journey.deployment().spec.paused, "the Deployment resumed")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    journey.until(lambda: journey.versions() == {"1.0.0": 5}, "all pods on 1.0.0")


@pytest.mark.slow
def test_aborting_a_paused_release_unpauses_in_the_same_patch(
    journey: Journey,
) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} unready")
    journey.until(lambda: journey.versions().get("unready"), "the first new pods")
    journey.say("/rollout pause {app}")
    journey.until(lambda: journey.deployment().spec.paused, "the Deployment paused")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    assert journey.as_found() == found


def test_an_outside_change_holds_the_release_and_names_who_made_it(journey: Journey) -> None:
    journey.say("/deploy {app} unready")
    journey.until(lambda: journey.versions().get("unready"), "the first new pods")
    journey.deployments.patch_namespaced_deployment_scale(
        journey.app, "default", {"spec": {"replicas": 7}}, field_manager="kubectl"
    )
    journey.sees(r"release.{1,3}holding: .*replicas.*kubectl, subresource scale")
    journey.sees(r"Deploy {app} [^\n]* · (?!in progress)")
    journey.click("Adopt", user=DEVELOPER)
    journey.sees(r"Deploy {app} [^\n]* · in progress")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


@pytest.mark.slow
def test_a_viewer_and_a_wrong_channel_change_nothing(journey: Journey) -> None:
    assert "You need the deployer or admin role" in journey.say("/deploy {app} 2.0.0", user=VIEWER)
    assert "not taken in this channel" in journey.say("/deploy {app} 2.0.0", channel="C0RANDOM")
    assert journey.untouched()


def test_mistakes_get_one_line_with_the_nearest_command(journey: Journey) -> None:
    mistakes = {
        "/deploy helo 2.0.0": "Did you mean `hello`?",
        "/deploy {app} 2.0.0 cannary": "canary",
        "/deploy {app} other/image:2.0.0": "not allowed",
        "/deploy {app} 2.0.0 steps=50,20": "ris",
        "/scale {app} -3": "replicas",
        "/scale {app} 999": "1 to 20",
        "/rollout undoo {app}": "undo",
        "/pilothouse deploi {app} 2.0.0": "deploy",
        "/deploy {app} 2.0.0 stps=20": "Did you mean `steps=…`?",
        "/deploy {app} 2.0.0 plan": "No strategy `plan`",
        "/deploy {app} 2.0.0 reason=“fix": "A quote is not closed",
        "/deploy {app} 2..$": "not a version",
        "/scale {app}": "How many replicas?",
        "/rollout": "Which verb?",
    }
    told = set()
    for typed, hint in mistakes.items():
        seen = journey.say(typed)
        told.add(seen)
        assert hint in seen, f"{typed}: {seen}"
        assert "Traceback" not in seen
    assert told.isdisjoint(m["text"] for m in journey.sandbox.slack.messages(CHANNEL, VIEWER))
    assert journey.untouched()


@pytest.mark.slow
def test_deploying_the_running_version_says_so(journey: Journey) -> None:
    journey.say("/deploy {app} 1.0.0")
    journey.sees(r"{app} already runs 1\.0\.0", user=DEVELOPER)
    seen_by_others = [one["text"] for one in journey.messages(VIEWER)]
    assert not [text for text in seen_by_others if "already runs" in text or "started" in text]
    journey.say("/pilothouse releases {app}")
    journey.sees("No releases of {app} yet|none yet", user=DEVELOPER)
    assert journey.untouched()


def test_a_second_version_waits_for_the_first(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.say("/deploy {app} 3.0.0", user=MANAGER)
    journey.sees(r"{app} is on 3\.0\.0")
    assert journey.versions() == {"3.0.0": 5}


@pytest.mark.slow
def test_what_waits_behind_a_failure_is_held_until_people_decide(journey: Journey) -> None:
    journey.say("/deploy {app} missing")
    journey.say("/deploy {app} 2.0.0")
    journey.say("/deploy {app} 3.0.0", user=MANAGER)
    journey.sees(r"{app}-1 was rolled back, so 2\.0\.0 \({app}-2\), 3\.0\.0 \({app}-3\) wait")
    assert journey.versions() == {"1.0.0": 5}
    journey.say("/scale {app} 4")
    journey.until(lambda: journey.versions() == {"1.0.0": 4}, "a scale that does not wait")
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"already runs as {app}-2")
    journey.click("Continue", user=DEVELOPER)
    journey.until(lambda: journey.versions() == {"3.0.0": 4}, "both versions, one after the other")
    journey.sees(r"{app} is on 3\.0\.0")


@pytest.mark.slow
def test_roll_back_on_a_final_card_is_void_once_the_cluster_changed(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.until(lambda: journey.with_button("Roll back", user=DEVELOPER), "the way back")
    body = {"spec": {"template": {"metadata": {"annotations": {"by": "hand"}}}}}
    journey.deployments.patch_namespaced_deployment(journey.app, "default", body)
    journey.click("Roll back", user=DEVELOPER)
    journey.sees(r"{app} was changed since {app}-1 ended", user=DEVELOPER)
    assert journey.versions().keys() == {"2.0.0"}  # the outside change still rolls


@pytest.mark.slow
def test_roll_back_on_a_final_card_acts_at_once_just_after_the_end(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
    journey.click("Roll back", user=DEVELOPER)
    journey.until(lambda: journey.versions() == {"1.0.0": 5}, "the version before")
