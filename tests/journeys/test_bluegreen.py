"""Blue/green from the typed command to the last message: no traffic on green before the switch, all
of it after, and back with one click."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tests.journeys.conftest import CHANNEL, DEVELOPER, MANAGER, ON_CALL, Journey, objects_of
from tests.journeys.endpoints import newest, ready_versions, sees_privately
from tests.journeys.observer import observed
from tests.journeys.test_evidence import administer

WAITS_FOR_SWITCH = r"{app} 1\.0\.0 → 2\.0\.0 blue/green.*waiting for approval"
IN_THE_WINDOW = r"{app} 1\.0\.0 → 2\.0\.0 blue/green.*rollback window open"
_kept = itertools.count(1)


def test_traffic_moves_to_green_at_the_switch_and_back_with_one_click(
    journey: Journey,
) -> None:
    found = journey.as_found()
    with observed(journey) as seen:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        told = journey.sees(WAITS_FOR_SWITCH)
        assert "switch" in told
        assert journey.versions() == {"1.0.0": 5, "2.0.0": 5}
        assert journey.service().spec.selector == found[1]["spec"]["selector"]
        journey.click("Switch", user=MANAGER)
        journey.until(
            lambda: ready_versions(journey) == {"2.0.0": 5}, "only green behind the Service"
        )
        journey.sees(IN_THE_WINDOW)
        assert journey.versions() == {"1.0.0": 5, "2.0.0": 5}, "blue stays whole for the window"
        reads_as_people_think(journey)
        journey.click("Roll back", user=DEVELOPER)
        journey.until(
            lambda: ready_versions(journey) == {"1.0.0": 5}, "only blue behind the Service"
        )
        journey.sees(r"{app} is back on 1\.0\.0, rolled back by developer")
    seen.was_never_empty()
    seen.only("1.0.0", since=None, until=seen.selected(1))
    seen.only("2.0.0", since=seen.selected(1), until=seen.selected(2))
    seen.only("1.0.0", since=seen.selected(2), until=None)
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-green")
    assert journey.versions() == {"1.0.0": 5}


def reads_as_people_think(journey: Journey) -> None:
    """The window's end is a moment in each reader's zone; the planner's notes are in the thread."""
    card, _ = journey.until(lambda: journey.with_button("Roll back"), "the card of the window")
    shown = str(card["blocks"])
    assert "keep 1.0.0 ready for" in shown and "next: clean up" in shown
    assert "open until <!date^" in shown and "is switched by" not in shown
    thread = journey.sandbox.slack.messages(CHANNEL, DEVELOPER, card["ts"])
    assert any("is switched by" in message["text"] for message in thread)


@pytest.mark.slow
def test_the_requester_cannot_approve_the_switch(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 bluegreen", user=ON_CALL)
    journey.sees(WAITS_FOR_SWITCH)
    before = newest(journey, ON_CALL)
    journey.click("Switch", user=ON_CALL)
    sees_privately(journey, "someone else must approve it", ON_CALL, before)
    before = newest(journey, DEVELOPER)
    journey.click("Switch", user=DEVELOPER)
    sees_privately(journey, "Approving needs the approver role.", DEVELOPER, before)
    assert ready_versions(journey) == {"1.0.0": 5}
    journey.say("/rollout abort {app}", user=ON_CALL)
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


@pytest.mark.slow
def test_a_rejected_switch_leaves_everything_as_found(journey: Journey) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 bluegreen")
    journey.sees(WAITS_FOR_SWITCH)
    journey.reject()
    journey.sees(r"{app} is back on 1\.0\.0, rejected")
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-green")


def test_blue_keeps_serving_when_the_image_of_green_cannot_be_pulled(
    journey: Journey,
) -> None:
    found = journey.as_found()
    with observed(journey) as seen:
        journey.say("/deploy {app} missing bluegreen")
        journey.sees(r"cannot be pulled: not found")
        journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    assert [state.versions for state in seen.states] == [(("1.0.0", 5),)]
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-green")


@pytest.mark.slow
@pytest.mark.usefixtures("only_simulated")  # no pod of a KWOK node answers HTTP
def test_the_switch_is_not_offered_while_green_answers_with_errors(
    journey: Journey,
) -> None:
    """Ready but useless: the probe finds out by asking each pod of green."""
    with observed(journey) as seen:
        journey.say("/deploy {app} sick bluegreen")
        told = journey.sees(r"/version fails on {app}-green-\S+( and \d more)?: it answers 503")
        assert "The switch waits" in told
        assert journey.with_button("Switch") is None
        administer(
            journey.api,
            "images",
            {"pattern": f"pilothouse/{journey.app}:sick", "behaviour": "ready"},
        )
        journey.sees(r"{app} 1\.0\.0 → sick blue/green.*waiting for approval")
        journey.click("Switch", user=MANAGER)
        journey.until(
            lambda: ready_versions(journey) == {"sick": 5}, "only green behind the Service"
        )
        journey.say("/rollout abort {app}")
        journey.sees(r"{app} is back on 1\.0\.0")
    seen.was_never_empty()
    seen.only("1.0.0", since=None, until=seen.selected(1))


@pytest.mark.slow
def test_a_bluegreen_dry_run_shows_the_plan_and_writes_nothing(journey: Journey) -> None:
    before = newest(journey, DEVELOPER)
    journey.say("/deploy {app} 2.0.0 bluegreen dry-run")
    plan = sees_privately(
        journey,
        rf"{journey.app} 1\.0\.0 → 2\.0\.0 blue/green: dry run, nothing changed",
        DEVELOPER,
        before,
    )
    assert f"Start 2.0.0 beside 1.0.0: 5 pods of {journey.app}-green" in plan
    assert "Switch traffic" in plan and f"{journey.app} → {journey.app}-green" in plan
    assert journey.untouched()


@pytest.mark.slow
def test_a_selector_reverted_by_hand_reaches_blue_and_is_reported_as_drift(
    journey: Journey,
) -> None:
    journey.say("/deploy {app} 2.0.0 bluegreen")
    journey.sees(WAITS_FOR_SWITCH)
    journey.click("Switch", user=MANAGER)
    journey.sees(IN_THE_WINDOW)
    journey.core.patch_namespaced_service(
        journey.app,
        "default",
        {"spec": {"selector": {"app": journey.app}}},
        field_manager="kubectl-edit",
    )
    journey.until(lambda: ready_versions(journey) == {"1.0.0": 5}, "blue behind the Service")
    journey.sees(r"release.{1,3}holding: .*kubectl-edit")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0")
    assert not journey.exists(f"{journey.app}-green")


@pytest.mark.slow
def test_the_rollback_window_ends_early_and_leaves_only_the_image_changed(
    journey: Journey,
) -> None:
    found = journey.as_found()
    with observed(journey) as seen:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        journey.sees(WAITS_FOR_SWITCH)
        journey.click("Switch", user=MANAGER)
        journey.sees(IN_THE_WINDOW)
        before = newest(journey, MANAGER)
        journey.click("Finish now", user=MANAGER)
        sees_privately(journey, "Old connections are still draining", MANAGER, before)
        journey.sees(r"{app} is on 2\.0\.0", within=120)
    seen.was_never_empty()
    seen.only("1.0.0", since=None, until=seen.selected(1))
    seen.only("2.0.0", since=seen.selected(1), until=None)  # through settling, to the end
    assert seen.selected(2).selector == seen.selected(0).selector
    seen.drained(f"{journey.app}-", "1.0.0", since=seen.selected(1), seconds=29.5)
    seen.drained(f"{journey.app}-green-", "2.0.0", since=seen.selected(2), seconds=29.5)
    after, service = journey.as_found()
    after["spec"]["template"]["spec"]["containers"][0]["image"] = f"pilothouse/{journey.app}:1.0.0"
    assert after["spec"] == found[0]["spec"]
    assert after["labels"] == found[0]["labels"]
    assert service == found[1]
    assert journey.versions() == {"2.0.0": 5}
    assert not journey.exists(f"{journey.app}-green")


# --- pairs ----------------------------------------------------------------------------------------


def _a_green_beside(journey: Journey, *, serves: bool) -> None:
    """A green made by hand: `{app}-green` on 2.0.0, with 5 pods like blue."""
    labels = {"app": f"{journey.app}-green"}
    green, _ = objects_of(journey.app, 5)
    green["metadata"] = {"name": f"{journey.app}-green", "labels": labels}
    green["spec"] |= {"selector": {"matchLabels": labels}}
    green["spec"]["template"]["metadata"]["labels"] = labels
    green["spec"]["template"]["spec"]["containers"][0]["image"] = f"pilothouse/{journey.app}:2.0.0"
    journey.deployments.create_namespaced_deployment("default", green)
    journey.until(
        lambda: journey.deployment(f"{journey.app}-green").status.available_replicas == 5,
        "the pods of green",
    )
    if serves:
        journey.core.patch_namespaced_service(
            journey.app, "default", {"spec": {"selector": labels}}
        )
        journey.until(lambda: ready_versions(journey) == {"2.0.0": 5}, "green behind the Service")


def pods_of(journey: Journey, deployment: str) -> list[str]:
    """Pods that are ending included."""
    return [
        pod.metadata.name
        for pod in journey.core.list_namespaced_pod("default").items
        if pod.metadata.name.startswith(f"{deployment}-")
    ]


@pytest.mark.slow
def test_commands_target_the_serving_deployment_of_a_pair(journey: Journey) -> None:
    _a_green_beside(journey, serves=True)
    idle = journey.as_found()[0]
    journey.say("/scale {app} 3")
    journey.sees(r"{app} 5 pods → 3 pods .*{app} has 3 pods")
    assert journey.deployment(f"{journey.app}-green").spec.replicas == 3
    journey.until(
        lambda: len(pods_of(journey, f"{journey.app}-green")) == 3,
        "three pods, none of them ending: /pods counts those too",
    )
    before = newest(journey, DEVELOPER)
    journey.say("/pods {app}")
    pods = sees_privately(
        journey,
        r"stable, revision 1 \(2\.0\.0\): 3 pods, 100% of 3 ready endpoints",
        DEVELOPER,
        before,
    )
    assert "idle, revision 1 (1.0.0): 5 pods, 0% of 3 ready endpoints" in pods
    journey.say("/rollout history {app}")
    sees_privately(
        journey, rf"{journey.app}: revisions of deployment {journey.app}-green", DEVELOPER, before
    )
    journey.say("/rollout pause {app}")
    sees_privately(journey, rf"deployment {journey.app}-green paused", DEVELOPER, before)
    journey.say("/rollout resume {app}")
    sees_privately(journey, rf"deployment {journey.app}-green resumed", DEVELOPER, before)
    journey.say("/rollout restart {app}")
    journey.sees(r"Restart {app} 2\.0\.0 .*was restarted")
    journey.say("/deploy {app} 2.1.0")
    journey.sees(r"{app} is on 2\.1\.0")
    assert ready_versions(journey) == {"2.1.0": 3}
    assert journey.as_found()[0] == idle, "the idle one was left alone"


@pytest.mark.slow
def test_a_pair_made_by_hand_is_switched_unchanged(journey: Journey) -> None:
    _a_green_beside(journey, serves=False)
    pods = {
        pod.metadata.name
        for pod in journey.core.list_namespaced_pod("default").items
        if pod.metadata.name.startswith(journey.app)
    }
    with observed(journey) as seen:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        journey.click("Continue", user=DEVELOPER)  # it is adopted
        journey.click("Switch", user=MANAGER)
        journey.sees(IN_THE_WINDOW)
        now = {
            pod.metadata.name
            for pod in journey.core.list_namespaced_pod("default").items
            if pod.metadata.name.startswith(journey.app)
        }
        assert now == pods, "not one pod was made or removed"
        journey.click("Roll back", user=DEVELOPER)
        journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    seen.was_never_empty()
    seen.only("2.0.0", since=seen.selected(1), until=seen.selected(2))
    assert journey.exists(f"{journey.app}-green"), "who made it may remove it"


@pytest.mark.slow
def test_a_kept_pair_alternates_and_undo_names_the_command_to_switch_back(
    journey: Journey,
) -> None:
    pair = replace(journey, app=f"kept{next(_kept)}")
    deployment, service = objects_of(pair.app, 2)
    pair.deployments.create_namespaced_deployment("default", deployment)
    pair.core.create_namespaced_service("default", service)
    pair.until(lambda: pair.deployment().status.available_replicas == 2, "the pods")
    with observed(pair) as seen:
        pair.say("/deploy {app} 2.0.0 bluegreen")
        pair.sees(r"{app} is on 2\.0\.0", within=90)
        assert pair.versions() == {"1.0.0": 2, "2.0.0": 2}
        pair.say("/rollout undo {app}")
        pair.sees(
            r"{app} still runs 1\.0\.0 beside it\. Run `deploy {app} 1\.0\.0 bluegreen` to switch"
            r" back to it at once"
        )
        pair.say("/deploy {app} 1.0.0 bluegreen")
        pair.until(lambda: ready_versions(pair) == {"1.0.0": 2}, "the first one serves again")
    seen.was_never_empty()
    seen.only("1.0.0", since=None, until=seen.selected(1))
    seen.only("2.0.0", since=seen.selected(1), until=seen.selected(2))
    assert seen.selected(2).selector == seen.selected(0).selector
