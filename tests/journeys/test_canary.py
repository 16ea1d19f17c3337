"""A canary from the typed command to the last message: shares, approval, promotion, and each kind
of rollback."""

from __future__ import annotations

from typing import Any

import pytest

from tests.card_buttons import press
from tests.journeys.conftest import CHANNEL, DEVELOPER, MANAGER, ON_CALL, SECOND, Journey
from tests.journeys.endpoints import newest, ready_versions, sees_privately

WAITS_FOR_PEOPLE = r"{app} 1\.0\.0 → 2\.0\.0 canary.*waiting for approval"


def _ends_only_on_another_image(
    journey: Journey, found: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    after, service = journey.as_found()
    after["spec"]["template"]["spec"]["containers"][0]["image"] = f"pilothouse/{journey.app}:1.0.0"
    assert after["spec"] == found[0]["spec"]
    assert after["labels"] == found[0]["labels"]
    assert service == found[1]
    assert not journey.exists(f"{journey.app}-canary")


def test_a_canary_rises_step_by_step_and_someone_else_promotes_it(
    journey: Journey,
) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=20,50 hold=1h", user=ON_CALL)
    journey.until(
        lambda: ready_versions(journey) == {"1.0.0": 5, "2.0.0": 1},
        "one canary pod behind the Service",
    )
    canary = journey.deployment(f"{journey.app}-canary")
    assert canary.spec.selector.match_labels == {"app": journey.app, "track": "canary"}
    for share in ("17%", "50%"):
        journey.sees(rf"canary · {share} · holding")
        journey.click("Continue now", user=MANAGER)
    told = journey.sees(WAITS_FOR_PEOPLE)
    assert "50%" in told
    assert ready_versions(journey) == {"1.0.0": 5, "2.0.0": 5}
    before = newest(journey, ON_CALL)
    journey.click("Promote", user=ON_CALL)
    sees_privately(journey, "someone else must approve it", ON_CALL, before)
    before = newest(journey, DEVELOPER)
    journey.click("Promote", user=DEVELOPER)
    sees_privately(journey, "Approving needs the approver role.", DEVELOPER, before)
    assert ready_versions(journey) == {"1.0.0": 5, "2.0.0": 5}
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")
    assert journey.versions() == {"2.0.0": 5}
    _ends_only_on_another_image(journey, found)


@pytest.mark.slow
def test_the_requester_cannot_promote_by_command(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s", user=MANAGER)
    journey.sees(WAITS_FOR_PEOPLE)
    assert "someone else must approve it" in journey.say("/rollout promote {app}", user=MANAGER)
    assert "Approving needs the approver role." in journey.say(
        "/rollout promote {app}", user=DEVELOPER
    )
    assert journey.deployment().spec.template.spec.containers[0].image.endswith(":1.0.0")
    journey.say("/rollout promote {app}", user=ON_CALL)
    journey.sees(r"{app} is on 2\.0\.0")


@pytest.mark.slow
def test_a_second_promotion_changes_nothing(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(WAITS_FOR_PEOPLE)
    offer = journey.until(lambda: journey.with_button("Promote"), "the button Promote")
    before = newest(journey, ON_CALL)

    def click(person: str) -> bool:
        return bool(press(journey.sandbox.slack, person, CHANNEL, offer).get("ok"))

    click(MANAGER)
    if click(ON_CALL):  # else the card was edited in between, and the button is gone
        sees_privately(journey, r"Nothing to approve|is over", ON_CALL, before)
    journey.sees(r"{app} is on 2\.0\.0")
    patches = [
        write
        for write in journey.writes()
        if write["verb"] == "patch" and write["name"] == journey.app
    ]
    assert len(patches) == 3, "the claim, the template, the letting go"


@pytest.mark.slow
def test_a_canary_dry_run_shows_the_plan_privately_and_writes_nothing(journey: Journey) -> None:
    before = newest(journey, DEVELOPER)
    journey.say("/deploy {app} 2.0.0 canary dry-run")
    plan = sees_privately(
        journey,
        rf"{journey.app} 1\.0\.0 → 2\.0\.0 canary: dry run, nothing changed",
        DEVELOPER,
        before,
    )
    assert "17%" in plan
    assert "(asked: 20%)" in plan
    assert "50%" in plan
    assert "1 approval from someone other than the requester" in plan
    assert f"6. Promote {journey.app} to 2.0.0" in plan
    assert not [m for m in journey.messages(MANAGER) if "dry run" in m["text"]]
    assert journey.untouched()
    assert not journey.exists(f"{journey.app}-canary")


def test_an_abort_at_a_step_leaves_everything_as_found(
    journey: Journey,
) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=20,50 hold=10m")
    journey.sees(
        r"{app} 1\.0\.0 → 2\.0\.0 canary · 16%.*holding|{app} 1\.0\.0 → 2\.0\.0 canary · 17"
        r"%.*holding"
    )
    journey.click("Abort", user=DEVELOPER)
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    assert ready_versions(journey) == {"1.0.0": 5}
    assert not journey.exists(f"{journey.app}-canary")
    assert journey.as_found() == found


@pytest.mark.slow
def test_ending_a_hold_early_still_needs_an_approver_to_promote(
    journey: Journey,
) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary.*holding")
    journey.click("Continue now", user=MANAGER)
    journey.sees(WAITS_FOR_PEOPLE)
    assert ready_versions(journey) == {"1.0.0": 5, "2.0.0": 5}
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


@pytest.mark.slow
def test_a_rejection_removes_the_canary_and_names_who_rejected_it(journey: Journey) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(WAITS_FOR_PEOPLE)
    journey.reject("latency is up")
    assert "latency is up" in journey.sees(r"{app} is back on 1\.0\.0, rejected")
    assert not journey.exists(f"{journey.app}-canary")
    assert journey.as_found() == found


def test_a_canary_that_cannot_be_pulled_rolls_back_without_touching_stable(
    journey: Journey,
) -> None:
    found, pods = journey.as_found(), journey.pod_names()
    journey.say("/deploy {app} missing canary hold=10m")
    told = journey.sees(r"cannot be pulled: not found")
    assert f"pilothouse/{journey.app}:missing" in told
    journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-canary")
    assert journey.pod_names() == pods, "not one stable pod was replaced"


@pytest.mark.slow
def test_sticky_keeps_each_client_on_one_version_and_restores_the_service(
    journey: Journey,
) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s sticky")
    journey.sees(WAITS_FOR_PEOPLE)
    assert journey.service().spec.session_affinity == "ClientIP"
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")
    assert journey.service().spec.session_affinity == "None"
    _ends_only_on_another_image(journey, found)


@pytest.mark.slow
def test_an_abort_undoes_sticky(journey: Journey) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m sticky")
    journey.until(lambda: journey.service().spec.session_affinity == "ClientIP", "session affinity")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    assert journey.as_found() == found


def _left_over(journey: Journey, image: str) -> None:
    labels = {"app": journey.app, "track": "canary"}
    container = {"name": "hello", "image": image}
    journey.deployments.create_namespaced_deployment(
        "default",
        {
            "metadata": {"name": f"{journey.app}-canary", "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
    )
    journey.until(
        lambda: journey.deployment(f"{journey.app}-canary").status.available_replicas == 1,
        "the pod left over",
    )


@pytest.mark.slow
def test_a_leftover_canary_is_refused_with_the_command_that_removes_it(
    journey: Journey,
) -> None:
    _left_over(journey, f"pilothouse/{journey.app}:9.9.9")
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary")
    told = journey.sees(r"{app}-canary runs 9\.9\.9 and belongs to no release")
    assert f"kubectl -n default delete deployment {journey.app}-canary" in told
    assert journey.as_found() == found
    assert journey.untouched()


@pytest.mark.slow
def test_a_canary_begun_by_hand_is_adopted_and_promoted(
    journey: Journey,
) -> None:
    _left_over(journey, f"pilothouse/{journey.app}:2.0.0")
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.click("Continue", user=DEVELOPER)  # it is adopted
    journey.until(
        lambda: ready_versions(journey) == {"1.0.0": 5, "2.0.0": 5}, "half of the traffic"
    )
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")
    _ends_only_on_another_image(journey, found)


@pytest.mark.slow
def test_another_version_queues_behind_a_canary_and_the_same_one_shows_its_card(
    journey: Journey,
) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary.*holding")
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m", user=SECOND)
    journey.sees(r"already runs as {app}-1", user=SECOND)
    journey.say("/deploy {app} 3.0.0", user=SECOND)
    journey.sees(r"waiting for {app}-1")
    assert ready_versions(journey).keys() == {"1.0.0", "2.0.0"}
    journey.click("Continue now", user=MANAGER)
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 3\.0\.0")
    assert journey.versions() == {"3.0.0": 5}


@pytest.mark.slow
def test_a_paused_canary_resumes_where_it_was(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary.*holding")
    journey.click("Pause", user=DEVELOPER)
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary.*paused")
    assert ready_versions(journey) == {"1.0.0": 5, "2.0.0": 5}
    assert not journey.deployment().spec.paused, (
        "a canary pauses by standing still: both versions serve whole"
    )
    journey.click("Resume", user=DEVELOPER)
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary.*holding")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


@pytest.mark.slow
def test_impossible_shares_are_refused_in_one_line(journey: Journey) -> None:
    for typed, hint in {
        "/deploy {app} 2.0.0 canary steps=0": "1 to 100",
        "/deploy {app} 2.0.0 canary steps=50,50": "ris",
        "/deploy {app} 2.0.0 canary steps=abc": "steps",
        "/deploy {app} 2.0.0 canary hold=soon": "hold",
    }.items():
        seen = journey.say(typed)
        assert hint in seen, f"{typed}: {seen}"
    assert journey.untouched()
