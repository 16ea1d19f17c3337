"""One journey for each kind of refusal: what the person reads, and that nothing was changed."""

from __future__ import annotations

import pytest

from tests.journeys.conftest import (
    ADMIN,
    CHANNEL,
    DEVELOPER,
    MANAGER,
    ON_CALL,
    SECOND,
    Ground,
    Journey,
)
from tests.journeys.test_canary import WAITS_FOR_PEOPLE
from tests.journeys.test_canary_moments import an_app

WHY = "customers cannot pay"
pytestmark = pytest.mark.slow


def stays(journey: Journey) -> None:
    assert set(journey.versions()) == {"1.0.0"}


def test_another_teams_deployer_and_another_strategy_are_refused(ground: Ground) -> None:
    journey = an_app(ground, "guarded")
    refusal = journey.say("/deploy {app} 2.0.0", user=SECOND)
    assert "You need the deployer or admin role" in refusal
    assert "You need the deployer or admin role" in journey.say("/scale {app} 1", user=SECOND)
    assert "is released by canary, not by bluegreen" in journey.say("/deploy {app} 2.0.0 bluegreen")
    emergency = "by rolling only in an emergency"
    assert emergency in journey.say("/deploy {app} 2.0.0 rolling")
    assert emergency in journey.say("/deploy {app} 2.0.0 rolling reason=hotfix", user=ADMIN)
    stays(journey)
    journey.say(f'/deploy {{app}} 2.0.0 rolling reason="{WHY}"', user=ADMIN)
    journey.sees(r"{app} is on 2\.0\.0")
    journey.sees(r"{app}.*released it in an emergency by rolling")


def test_only_the_groups_that_the_catalog_names_promote(ground: Ground) -> None:
    journey = an_app(ground, "guarded")
    journey.say("/deploy {app} 2.0.0")
    journey.sees(WAITS_FOR_PEOPLE)
    assert "someone of the groups" in journey.say("/rollout promote {app}", user=MANAGER)
    assert "someone of the groups" in journey.say("/rollout promote {app}", user=ADMIN)
    assert "You started this release" in journey.say("/rollout promote {app}", user=DEVELOPER)
    journey.click("Promote", user=SECOND)  # of both groups
    journey.sees("1 of 2")
    assert set(journey.versions()) == {"1.0.0", "2.0.0"}
    journey.click("Promote", user=ON_CALL)
    journey.sees(r"{app} is on 2\.0\.0")


def test_a_window_of_the_catalog_takes_two_admins(ground: Ground) -> None:
    journey = an_app(ground, "frozen")
    refusal = journey.say("/deploy {app} 2.0.0")
    assert "is frozen by the catalog until" in refusal and "month end" in refusal
    journey.say("/unfreeze {app}", user=ADMIN)
    stays(journey)
    journey.say(f'/deploy {{app}} 2.0.0 reason="{WHY}"', user=ADMIN)
    journey.sees(r"{app}.*override the freeze")
    assert "You started this release" in journey.say("/rollout promote {app}", user=ADMIN)
    assert "needs the admin role" in journey.say("/rollout promote {app}", user=MANAGER)
    stays(journey)
    slack = journey.sandbox.slack
    assert slack.command(ADMIN, CHANNEL, f"/rollout abort {journey.app}")
    journey.sees(r"{app}.*aborted")
