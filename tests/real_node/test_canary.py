"""Canaries of pods that run: the share that the plan names, counted in requests."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sandbox.real_node import RealNodes
from tests.journeys.conftest import DEVELOPER, MANAGER
from tests.real_node.conftest import RealJourney, Start, drains, lost_by_kubectl
from tests.real_node.traffic import Traffic

pytestmark = pytest.mark.real_node

COUNTED = 2000
TOLERANCE = 0.05
"""Four standard deviations of a share of 20% to 50% in 2,000 requests that are spread at random."""


def share_of(journey: RealJourney, traffic: Traffic, version: str, counted: int = COUNTED) -> float:
    """Of the next requests."""
    since = time.time()
    journey.until(lambda: traffic.versions(since).total() >= counted, f"{counted} requests")
    counts = traffic.versions(since)
    return counts[version] / counts.total()


def test_the_share_of_requests_is_the_share_of_the_plan(start: Start) -> None:
    journey = start(4, drains)
    with journey.traffic(400) as traffic:
        journey.say("/deploy {app} 2.0.0 canary")
        journey.sees(r"canary · 20%.*holding")
        assert share_of(journey, traffic, "2.0.0") == pytest.approx(0.2, abs=TOLERANCE)
        journey.click("Continue now", user=MANAGER)
        journey.sees(r"canary · 50%.*holding")
        assert share_of(journey, traffic, "2.0.0") == pytest.approx(0.5, abs=TOLERANCE)
        journey.click("Continue now", user=MANAGER)
        journey.click("Promote", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
        journey.until(lambda: traffic.newest(100) == {"2.0.0": 100}, "only the new version")
    assert traffic.lost() == []


def test_an_abort_gives_every_request_back_to_stable(start: Start) -> None:
    """The app closes its listener at once on SIGTERM: canary pods sleep before it."""
    journey = start(4)
    found = journey.as_found()
    with journey.traffic() as traffic:
        journey.say("/deploy {app} 2.0.0 canary")
        journey.sees(r"canary · 20%.*holding")
        journey.until(lambda: "2.0.0" in traffic.newest(100), "requests on the canary")
        journey.click("Abort", user=DEVELOPER)
        journey.sees(r"{app} is back on 1\.0\.0, aborted")
        journey.until(lambda: traffic.newest(200) == {"1.0.0": 200}, "only stable replies")
    assert traffic.lost() == []
    assert journey.as_found() == found


def test_a_canary_that_crashes_while_it_holds_is_rolled_back(start: Start) -> None:
    """It is ready for 8 s, and takes requests, before it ends."""
    journey = start(4)
    with journey.traffic(50) as traffic:
        journey.say("/deploy {app} late-crash canary")
        journey.sees(r"canary · 20%.*holding")
        journey.sees(r"exit code 3")
        journey.sees(r"{app} is back on 1\.0\.0, rolled back")
        journey.until(lambda: traffic.newest(50) == {"1.0.0": 50}, "only stable replies")
    assert traffic.versions()["late-crash"] > 0
    assert not journey.exists(f"{journey.app}-canary")


def test_a_canary_that_is_not_ready_takes_no_request(start: Start) -> None:
    journey = start(4)
    with journey.traffic() as traffic:
        journey.say("/deploy {app} unready canary")
        journey.until(lambda: journey.versions().get("unready") == 1, "the canary pod")
        journey.until(
            lambda: any(
                status.state.running
                for pod in journey.pods()
                for status in pod.status.container_statuses or ()
                if status.image.endswith("unready")
            ),
            "its container runs",
        )
        assert share_of(journey, traffic, "unready", 500) == 0.0
        journey.say("/rollout abort {app}")
        journey.sees(r"{app} is back on 1\.0\.0, aborted")
    assert traffic.lost() == []


def test_a_client_of_a_sticky_release_stays_on_its_version(start: Start) -> None:
    """All requests of these clients come from one address."""
    journey = start(4)
    journey.say("/deploy {app} 2.0.0 canary sticky")
    journey.sees(r"canary · 20%.*holding")
    with journey.traffic() as traffic:
        journey.until(lambda: traffic.versions().total() >= 500, "500 requests")
    assert len(traffic.versions()) == 1
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


def test_clients_of_a_sticky_release_are_told_apart_by_their_addresses(start: Start) -> None:
    """Each stays on its version, and both versions have some: that 20 addresses choose the same of
    two halves happens once in 500,000 runs."""
    journey = start(4)
    journey.say("/deploy {app} 2.0.0 canary sticky steps=50")
    journey.sees(r"canary · 50%.*holding")
    sources = [f"10.240.0.{number}" for number in range(101, 121)]
    with journey.traffic(sources=sources) as traffic:
        journey.until(lambda: traffic.versions().total() >= 1000, "1,000 requests")
    of_source: dict[str, set[str]] = {}
    for one in traffic.requests():
        of_source.setdefault(one.source, set()).add(one.version)
    assert len(of_source) == len(sources)
    assert all(len(versions) == 1 for versions in of_source.values())
    assert traffic.versions().keys() == {"1.0.0", "2.0.0"}
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


def test_traffic_shows_what_the_pods_replied_through_the_api_server(start: Start) -> None:
    journey = start(2)
    journey.say("/traffic {app}")
    told = journey.sees(r"/version of {app}: 20 requests")
    assert "1.0.0" in told and "100%" in told


@pytest.mark.slow
def test_the_roll_of_a_promotion_loses_no_more_requests_than_kubectls(
    start: Start, real_nodes: RealNodes, record_property: Callable[[str, object], None]
) -> None:
    """Of an app that closes its listener at once on SIGTERM. Chance differs; twice as many, and
    20 more, would be another way of rolling."""
    journey = start(4)
    with journey.traffic() as ours:
        journey.say("/deploy {app} 2.0.0 canary steps=50")
        journey.sees(r"canary · 50%.*holding")
        journey.click("Continue now", user=MANAGER)
        began = time.time()
        assert ours.lost(until=began) == [], "pods that are added"
        journey.click("Promote", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
        journey.until(lambda: ours.newest(100) == {"2.0.0": 100}, "only the new version")
    lost = lost_by_kubectl(journey, real_nodes, "3.0.0")
    record_property("lost", f"{len(ours.lost())} of {len(ours.requests())}")
    record_property("lost by kubectl", lost)
    assert len(ours.lost()) <= 2 * lost + 20
