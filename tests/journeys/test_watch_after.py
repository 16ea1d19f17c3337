"""A version becomes worse after its release succeeded: people are told once, with the way back, and
machines wait for a person."""

from __future__ import annotations

import httpx
import pytest

from tests.journeys.conftest import DEVELOPER, Ground
from tests.journeys.test_canary_moments import an_app
from tests.journeys.test_from_ci import pipeline

WORSE = r"{app} 1\.0\.0 → 2\.0\.0 .*became worse after it succeeded"


@pytest.mark.slow
@pytest.mark.usefixtures("only_simulated")  # KWOK writes a pod's readiness itself
def test_a_worsening_after_success_is_told_once_and_a_click_rolls_back(ground: Ground) -> None:
    journey = an_app(ground, "watched")
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 rolling")
    journey.sees(r"{app} is on 2\.0\.0")
    for name in sorted(journey.pod_names())[:2]:
        path = f"{journey.api.configuration.host}/_sandbox/pods/default/{name}"
        httpx.put(path, json={"ready": False}).raise_for_status()
    told = journey.sees(WORSE, within=90)
    assert "only 1 of 3 pods ready" in told
    assert "Before, on 1.0.0: 3 of 3 pods available. After, on 2.0.0: 1 of 3 pods ready." in told
    assert set(journey.versions()) == {"2.0.0"}  # nothing is rolled back by itself
    with pipeline(journey, "2.0.0", "rolling", "--triggered-by", DEVELOPER) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 5 and "(locked)" in out, out
    journey.click("Roll back to 1.0.0 (1)", user=DEVELOPER)
    journey.sees(r"{app} is (back )?on 1\.0\.0")
    assert journey.as_found()[0]["spec"]["template"] == found[0]["spec"]["template"]
    worse = [one for one in journey.messages() if "became worse" in one["text"]]
    assert len([one for one in worse if journey.app in one["text"]]) == 1
