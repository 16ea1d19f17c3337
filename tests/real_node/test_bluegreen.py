"""Blue/green of pods that run: each request before, at and after the switch."""

from __future__ import annotations

import time

import pytest

from tests.journeys.conftest import DEVELOPER, MANAGER
from tests.real_node.conftest import Start

pytestmark = pytest.mark.real_node

WAITS_FOR_SWITCH = r"{app} 1\.0\.0 → 2\.0\.0 blue/green.*waiting for approval"
IN_THE_WINDOW = r"{app} 1\.0\.0 → 2\.0\.0 blue/green.*rollback window open"


def test_a_switch_and_back_lose_no_request(start: Start) -> None:
    """The app closes its listener at once on SIGTERM: blue and green stay whole for both."""
    journey = start(3)
    found = journey.as_found()
    with journey.traffic(300) as traffic:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        journey.sees(WAITS_FOR_SWITCH)
        before_switch = time.time()
        assert traffic.versions(until=before_switch).keys() == {"1.0.0"}
        journey.click("Switch", user=MANAGER)
        journey.sees(IN_THE_WINDOW)
        journey.sees(r"every new request is on {app}-green \(2\.0\.0\)")
        said = time.time()
        journey.until(lambda: traffic.versions(said).total() >= 300, "300 requests")
        assert traffic.versions(said).keys() == {"2.0.0"}
        before_return = time.time()
        journey.click("Roll back", user=DEVELOPER)
        journey.sees(r"{app} is back on 1\.0\.0, rolled back by developer")
        journey.until(lambda: traffic.newest(300) == {"1.0.0": 300}, "only blue replies")
    assert traffic.lost(until=before_return) == []
    assert traffic.lost() == []
    assert journey.as_found() == found


def test_a_candidate_aborted_before_the_switch_costs_no_request(start: Start) -> None:
    """Its pods close their listeners at once on SIGTERM; none of them ever got a request."""
    journey = start(3)
    found = journey.as_found()
    with journey.traffic() as traffic:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        journey.sees(WAITS_FOR_SWITCH)
        journey.click("Abort", user=DEVELOPER)
        journey.sees(r"{app} is back on 1\.0\.0, aborted")
        journey.until(lambda: not journey.exists(f"{journey.app}-green"), "green gone")
    assert traffic.versions().keys() == {"1.0.0"}
    assert traffic.lost() == []
    assert journey.as_found() == found


@pytest.mark.slow
def test_a_whole_release_loses_no_request(start: Start) -> None:
    """The app closes its listener at once on SIGTERM. Green serves while blue rolls, and is
    removed once its connections have had 30 s."""
    journey = start(3, kind="brief")
    with journey.traffic() as traffic:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        journey.sees(WAITS_FOR_SWITCH)
        journey.click("Switch", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
        journey.until(lambda: traffic.newest(300) == {"2.0.0": 300}, "only 2.0.0 replies")
    assert traffic.lost() == []
    assert not journey.exists(f"{journey.app}-green")
