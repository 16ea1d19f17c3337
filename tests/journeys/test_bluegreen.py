"""Blue/green from the typed command to the last word: nobody on green before the switch, everybody after it, and back in one click."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.journeys.conftest import DEVELOPER, MANAGER, ON_CALL, Journey
from tests.journeys.endpoints import is_told_alone, newest, ready_versions
from tests.journeys.test_evidence import administer

WAITS_FOR_SWITCH = r"{app} 1\.0\.0 → 2\.0\.0 bluegreen.*waiting for approval"
IN_THE_WINDOW = r"{app} 1\.0\.0 → 2\.0\.0 bluegreen.*keeping the way back open"


@contextmanager
def _observer(journey: Journey) -> Iterator[list[dict[str, int]]]:
    """Everything that was behind the Service meanwhile, each state once in its order."""
    seen: list[dict[str, int]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            now = ready_versions(journey)
            if not seen or seen[-1] != now:
                seen.append(now)
            ended.wait(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def test_nobody_reaches_green_before_the_switch_and_everybody_after_it_and_one_click_goes_back(journey: Journey) -> None:
    found = journey.as_found()
    with _observer(journey) as seen:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        told = journey.sees(WAITS_FOR_SWITCH)
        assert "switch" in told
        assert journey.versions() == {"1.0.0": 5, "2.0.0": 5}
        assert journey.service().spec.selector == found[1]["spec"]["selector"]
        assert seen == [{"1.0.0": 5}]
        journey.click("Switch", user=MANAGER)
        journey.until(lambda: ready_versions(journey) == {"2.0.0": 5}, "only green behind the Service")
        journey.sees(IN_THE_WINDOW)
        assert journey.versions() == {"1.0.0": 5, "2.0.0": 5}, "blue stays whole for the window"
        journey.click("Roll back", user=DEVELOPER)
        journey.until(lambda: ready_versions(journey) == {"1.0.0": 5}, "only blue behind the Service")
        journey.sees(r"{app} is back on 1\.0\.0 \(rolled back\): rolled back by developer")
    assert [state.keys() for state in seen if len(state) == 1] == [{"1.0.0"}, {"2.0.0"}, {"1.0.0"}]
    assert all(state for state in seen), f"at no moment zero ready endpoints: {seen}"
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-green")
    assert journey.versions() == {"1.0.0": 5}


def test_the_switch_needs_an_approver_other_than_the_one_who_asked(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 bluegreen", user=ON_CALL)
    journey.sees(WAITS_FOR_SWITCH)
    before = newest(journey, ON_CALL)
    journey.click("Switch", user=ON_CALL)
    is_told_alone(journey, "you started this release: somebody else approves it", ON_CALL, before)
    before = newest(journey, DEVELOPER)
    journey.click("Switch", user=DEVELOPER)
    is_told_alone(journey, "approving needs the role approver", DEVELOPER, before)
    assert ready_versions(journey) == {"1.0.0": 5}
    journey.say("/rollout abort {app}", user=ON_CALL)
    journey.sees(r"{app} is back on 1\.0\.0 \(aborted\)")


def test_a_rejected_switch_removes_green_and_leaves_everything_as_found(journey: Journey) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 bluegreen")
    journey.sees(WAITS_FOR_SWITCH)
    journey.click("Reject", user=MANAGER)
    journey.until(lambda: journey.sandbox.slack.views(MANAGER), "the form that asks why")
    journey.sandbox.slack.submit(MANAGER)
    journey.sees(r"{app} is back on 1\.0\.0 \(rejected\)")
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-green")


def test_a_green_that_cannot_be_pulled_is_told_and_removed_and_blue_never_stops_serving(journey: Journey) -> None:
    found = journey.as_found()
    with _observer(journey) as seen:
        journey.say("/deploy {app} missing bluegreen")
        journey.sees(r"cannot be pulled: not found")
        journey.sees(r"{app} is back on 1\.0\.0 \(rolled back\)")
    assert seen == [{"1.0.0": 5}]
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-green")


def test_a_green_that_answers_with_errors_is_never_offered_until_it_answers_well(journey: Journey) -> None:
    """Ready, and yet of no use: the probe finds it by asking each pod of green by itself."""
    with _observer(journey) as seen:
        journey.say("/deploy {app} sick bluegreen")
        told = journey.sees(r"/version is not answered by {app}-green-\S+( and \d more)?: it answers 503")
        assert "The switch waits" in told
        assert journey.with_button("Switch") is None
        administer(journey.api, "images", {"pattern": f"pilothouse/{journey.app}:sick", "behaviour": "ready"})
        journey.sees(r"{app} 1\.0\.0 → sick bluegreen.*waiting for approval")
        journey.click("Switch", user=MANAGER)
        journey.until(lambda: ready_versions(journey) == {"sick": 5}, "only green behind the Service")
        journey.say("/rollout abort {app}")
        journey.sees(r"{app} is back on 1\.0\.0")
    assert all(seen)


def test_a_dry_run_says_what_would_happen_and_writes_nothing(journey: Journey) -> None:
    before = newest(journey, DEVELOPER)
    journey.say("/deploy {app} 2.0.0 bluegreen dry-run")
    plan = is_told_alone(journey, rf"{journey.app} 1\.0\.0 → 2\.0\.0 bluegreen: a dry run, nothing was changed", DEVELOPER, before)
    assert f"{journey.app}-green with 5 pods of 2.0.0" in plan
    assert f"switch {journey.app} to {journey.app}-green" in plan
    assert journey.untouched()


def test_a_service_set_back_by_hand_lands_on_blue_and_is_told_as_drift(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 bluegreen")
    journey.sees(WAITS_FOR_SWITCH)
    journey.click("Switch", user=MANAGER)
    journey.sees(IN_THE_WINDOW)
    journey.core.patch_namespaced_service(
        journey.app, "default", {"spec": {"selector": {"app": journey.app}}}, field_manager="kubectl-edit"
    )
    journey.until(lambda: ready_versions(journey) == {"1.0.0": 5}, "blue behind the Service")
    journey.sees(r"changed past the release.*kubectl-edit")
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0")
    assert not journey.exists(f"{journey.app}-green")


@pytest.mark.slow
def test_the_window_can_be_ended_after_half_a_minute_and_only_the_image_differs_in_the_end(journey: Journey) -> None:
    found = journey.as_found()
    with _observer(journey) as seen:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        journey.sees(WAITS_FOR_SWITCH)
        journey.click("Switch", user=MANAGER)
        journey.sees(IN_THE_WINDOW)
        before = newest(journey, MANAGER)
        journey.click("Finish now", user=MANAGER)
        is_told_alone(journey, "old connections still drain", MANAGER, before)
        journey.sees(r"{app} is on 2\.0\.0", within=120)
    assert all(state for state in seen), f"at no moment zero ready endpoints: {seen}"
    switched = next(index for index, state in enumerate(seen) if state.keys() == {"2.0.0"})
    assert all("1.0.0" not in state for state in seen[switched:]), f"nobody meets the old version again: {seen}"
    after, service = journey.as_found()
    after["spec"]["template"]["spec"]["containers"][0]["image"] = f"pilothouse/{journey.app}:1.0.0"
    assert after["spec"] == found[0]["spec"]
    assert after["labels"] == found[0]["labels"]
    assert service == found[1]
    assert journey.versions() == {"2.0.0": 5}
    assert not journey.exists(f"{journey.app}-green")
