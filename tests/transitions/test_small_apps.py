"""An app of one, two or three pods rolls back like any other: where every new pod that the surge
allows ends again and again, that is all there is to wait for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.facts.causes import FailureClass
from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Phase
from bot.releases.facts.target import Strategy
from tests.builders import a_release, a_rolling_update, rules_with
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.test_canary_walks import a_hello


def a_small_app(replicas: int, surge: int | str, unavailable: int, strategy: Strategy) -> Walk:
    hello = a_hello(replicas=replicas, strategy=a_rolling_update(surge, unavailable))
    cluster = ModelledCluster(hello, services={"hello": {"app": "hello"}})
    cluster.broken_images.add("kelseyhightower/hello:2.0.0")
    cluster.crashes = True
    # a roll of the only pod without a surge is a downtime that a person confirms
    cluster.faulty = replicas <= unavailable
    walk = Walk(cluster, a_release(Deploy("2.0.0", strategy), rules=rules_with()))
    walk.before = cluster.state()
    return walk


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), ("25%", 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_small_app_rolls_back_by_itself(
    replicas: int, surge: int | str, unavailable: int, strategy: Strategy
) -> None:
    walk = a_small_app(replicas, surge, unavailable, strategy).to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.release.cause is not None
    assert walk.release.cause.failure is FailureClass.PERSISTENT
    assert walk.cluster.state() == walk.before


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_small_app_pauses_where_the_catalog_says_so(strategy: Strategy) -> None:
    walk = a_small_app(1, 1, 0, strategy)
    walk.release = replace(walk.release, rules=rules_with(on_failure="pause"))
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
