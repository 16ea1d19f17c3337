"""A freeze that holds what runs: between two steps, until it is lifted, and never on the way
back."""

from __future__ import annotations

from tests.journeys.conftest import ADMIN, DEVELOPER, MANAGER, ON_CALL, Journey
from tests.journeys.endpoints import newest, ready_versions, sees_privately

HOLDS = '/freeze {app} reason="incident" running=hold'


def test_a_freeze_holds_a_canary_between_its_steps_and_lets_it_go_back(journey: Journey) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=20,50 hold=1h", user=ON_CALL)
    journey.sees(r"canary · 17% · holding")
    journey.say(HOLDS, user=ADMIN)
    journey.sees(r"canary · 17% · held by a freeze.*Held before: 50% to 2\.0\.0")
    assert "stands still" in journey.say("/rollout promote {app}", user=MANAGER)
    journey.say("/unfreeze {app}", user=ADMIN)
    journey.sees(r"canary · 17% · holding")
    journey.click("Continue now", user=MANAGER)
    journey.sees(r"canary · 50% · holding")
    journey.say(HOLDS, user=ADMIN)
    journey.sees(r"canary · 50% · held by a freeze")
    assert ready_versions(journey) == {"1.0.0": 5, "2.0.0": 5}
    before = newest(journey, DEVELOPER)
    journey.say("/deploy {app} 3.0.0")
    sees_privately(
        journey, r"{app} is frozen by.*incident".replace("{app}", journey.app), DEVELOPER, before
    )
    journey.say("/rollout abort {app}", user=DEVELOPER)
    journey.sees(r"aborted.*{app} is on 1\.0\.0")
    assert journey.versions() == {"1.0.0": 5}
    assert journey.as_found() == found
    journey.say("/unfreeze {app}", user=ADMIN)
