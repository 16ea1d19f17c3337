"""A node that is drained or lost in the middle of a release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.real_node import RealNodes
from tests.journeys.conftest import MANAGER
from tests.real_node.conftest import RealJourney, Start, drains

pytestmark = pytest.mark.real_node


@pytest.fixture
def second_node(real_nodes: RealNodes) -> Iterator[str]:
    """Cordoned or drained by a test, and open again afterwards."""
    yield "node-2"
    real_nodes.kubectl("uncordon", "node-2")


@pytest.fixture
def losing_second_node(real_nodes: RealNodes) -> Iterator[None]:
    yield
    real_nodes.boot_node(2)


def nodes_of(journey: RealJourney) -> set[str]:
    return {pod.spec.node_name for pod in journey.pods()}


def test_a_drained_node_does_not_end_a_canary_that_holds(
    start: Start, real_nodes: RealNodes, second_node: str
) -> None:
    journey = start(4, drains)
    with journey.traffic(100) as traffic:
        journey.say("/deploy {app} 2.0.0 canary")
        journey.sees(r"canary · 20%.*holding")
        assert nodes_of(journey) == {"node-1", "node-2"}
        real_nodes.kubectl("drain", second_node, "--ignore-daemonsets", "--force", "--timeout=180s")
        journey.until(
            lambda: nodes_of(journey) == {"node-1"} and journey.is_ready(4),
            "all pods on the other node",
        )
        journey.click("Continue now", user=MANAGER)
        journey.sees(r"canary · 50%.*holding")
        journey.click("Continue now", user=MANAGER)
        journey.click("Promote", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
    assert traffic.lost() == []


@pytest.mark.usefixtures("losing_second_node")
def test_a_release_goes_through_although_a_node_is_lost_in_the_middle(
    start: Start, real_nodes: RealNodes
) -> None:
    journey = start(4)
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"canary · 20%.*holding")
    assert nodes_of(journey) == {"node-1", "node-2"}
    real_nodes.lose_node(2)
    journey.until(
        lambda: nodes_of(journey) == {"node-1"} and journey.is_ready(4),
        "the lost pods replaced",
    )
    with journey.traffic(100) as traffic:
        journey.click("Continue now", user=MANAGER)
        journey.sees(r"canary · 50%.*holding")
        journey.click("Continue now", user=MANAGER)
        journey.click("Promote", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
        journey.until(lambda: traffic.newest(50) == {"2.0.0": 50}, "only the new version replies")
