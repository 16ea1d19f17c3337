"""Automatic releases judged by what their pods answer; no pod of a KWOK node answers HTTP."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest

from tests.journeys.conftest import Ground, Journey
from tests.journeys.endpoints import ready_versions
from tests.journeys.test_evidence import administer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("only_simulated")]

_numbers: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))


def an_app(ground: Ground, kind: str) -> Journey:
    return ground.running(f"{kind}{next(_numbers[kind])}", 3)


def turns_sick(journey: Journey, version: str) -> None:
    rule = {"pattern": f"pilothouse/{journey.app}:{version}", "behaviour": "sick"}
    administer(journey.api, "images", rule)


@pytest.mark.parametrize("version", ["2.0.0-fails-100", "2.0.0-late"])
def test_an_automatic_canary_that_fails_every_request_is_rolled_back(
    ground: Ground, version: str
) -> None:
    journey = an_app(ground, "judged")
    found = journey.as_found()
    journey.say(f"/deploy {{app}} {version} canary")
    told = journey.sees(r"worse than before: 100% of \d+ requests failed on 2\.0\.0", within=60)
    assert "0% of" in told
    journey.sees(r"{app} is back on 1\.0\.0, rolled back", within=60)
    assert journey.as_found() == found
    assert not journey.exists(f"{journey.app}-canary")


def test_an_automatic_canary_that_answers_goes_out(ground: Ground) -> None:
    journey = an_app(ground, "judged")
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"{app} is on 2\.0\.0", within=90)
    assert journey.versions() == {"2.0.0": 3}


def test_a_canary_about_which_little_is_known_waits_longer_and_then_asks(ground: Ground) -> None:
    journey = an_app(ground, "strict")
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"Too little to say whether it is good: 0% of \d+ requests failed", within=60)
    journey.click("Abort")
    journey.sees(r"{app} is back on 1\.0\.0, aborted", within=60)


def test_a_judge_that_is_blind_holds_and_says_so(ground: Ground) -> None:
    journey = an_app(ground, "judged")
    turns_sick(journey, "*")
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"The judge is blind: the version before fails as well", within=90)
    journey.click("Abort")
    journey.sees(r"{app} is back on 1\.0\.0, aborted", within=60)


def test_a_green_that_turns_bad_after_the_switch_goes_back_by_itself(ground: Ground) -> None:
    journey = an_app(ground, "judged")
    journey.say("/deploy {app} 2.0.0 bluegreen")
    journey.until(lambda: ready_versions(journey) == {"2.0.0": 3}, "only green behind the Service")
    turns_sick(journey, "2.0.0")
    journey.sees(r"worse than before: \S+% of \d+ requests failed on 2\.0\.0", within=90)
    journey.sees(r"{app} is back on 1\.0\.0, rolled back", within=60)
    assert ready_versions(journey) == {"1.0.0": 3}


def test_answers_that_turn_bad_after_success_are_told_as_before_against_after(
    ground: Ground,
) -> None:
    journey = an_app(ground, "answering")
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"{app} is on 2\.0\.0", within=90)
    turns_sick(journey, "2.0.0")
    told = journey.sees(r"became worse after it succeeded: \S+% of \d+ requests", within=120)
    assert "failed on 2.0.0 since it succeeded; 0% of 40 on 1.0.0 before (/version)" in told
    assert "it answers 503" in told and "Nothing is rolled back by itself." in told
    assert journey.versions() == {"2.0.0": 3}
    journey.click("Roll back to 1.0.0 (1)")
    journey.sees(r"{app} is (back )?on 1\.0\.0", within=60)
