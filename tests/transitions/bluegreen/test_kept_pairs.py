"""After `settle: keep` everything that is asked of the app is meant for the one of the pair that
people reach."""

from __future__ import annotations

from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.changes import Change, Deploy, Reapply, Restart, Scale, Undo
from bot.releases.facts.observation import Survey
from bot.releases.facts.release import Phase
from tests.builders import T0, a_deployment, a_release, a_target, a_template, an_observation
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk


def a_kept_pair() -> ModelledCluster:
    """hello-green serves 2.0.0, hello is idle on 1.0.0."""
    return scenes.kept().to_the_end().cluster


def ask(cluster: ModelledCluster, change: Change) -> Walk:
    return Walk(cluster, a_release(change, target=a_target())).to_the_end()


def image(cluster: ModelledCluster, name: str) -> str:
    return str(cluster.deployments[name].template["spec"]["containers"][0]["image"]).rpartition(
        ":"
    )[2]


@pytest.mark.parametrize("replicas", [1, 5])
def test_scale_changes_the_serving_deployment_only(replicas: int) -> None:
    cluster = a_kept_pair()
    assert ask(cluster, Scale(replicas)).release.phase is Phase.SUCCEEDED
    assert {name: item.replicas for name, item in cluster.deployments.items()} == {
        "hello": 3,
        "hello-green": replicas,
    }


@pytest.mark.parametrize("replicas", [1, 5])
def test_the_next_release_keeps_the_serving_size(replicas: int) -> None:
    cluster = a_kept_pair()
    ask(cluster, Scale(replicas))
    walk = Walk(cluster, scenes.a_release_of(version="3.0.0", settle="keep")).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert len(cluster.selected("hello")) == replicas
    assert image(cluster, "hello") == "3.0.0"


def test_a_rolling_release_rolls_the_serving_deployment() -> None:
    cluster = a_kept_pair()
    walk = ask(cluster, Deploy("2.1.0"))
    assert (walk.release.phase, walk.release.from_version) == (Phase.SUCCEEDED, "2.0.0")
    assert {name: image(cluster, name) for name in cluster.deployments} == {
        "hello": "1.0.0",
        "hello-green": "2.1.0",
    }


def test_a_restart_restarts_the_serving_deployment() -> None:
    cluster = a_kept_pair()
    before = cluster.state()["deployments"]["hello"]
    assert ask(cluster, Restart()).release.phase is Phase.SUCCEEDED
    assert cluster.state()["deployments"]["hello"] == before
    assert (
        "kubectl.kubernetes.io/restartedAt"
        in cluster.deployments["hello-green"].template["metadata"]["annotations"]
    )


def test_an_undo_to_a_template_rolls_the_serving_deployment() -> None:
    cluster = a_kept_pair()
    wanted: Any = a_template(
        "1.9.0", labels=cluster.deployments["hello-green"].template["metadata"]["labels"]
    )
    assert ask(cluster, Undo(template=wanted)).release.phase is Phase.SUCCEEDED
    assert {name: image(cluster, name) for name in cluster.deployments} == {
        "hello": "1.0.0",
        "hello-green": "1.9.0",
    }


def test_deploying_the_idle_version_switches_back_without_a_new_pod() -> None:
    cluster = a_kept_pair()
    pods = {pod.name for item in cluster.deployments.values() for pod in item.pods()}
    walk = Walk(cluster, scenes.a_release_of(version="1.0.0", settle="keep")).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert cluster.services["hello"].selector == {"app": "hello"}
    assert {pod.name for item in cluster.deployments.values() for pod in item.pods()} == pods


def test_a_swapped_pair_stays_a_pair_under_any_settle() -> None:
    """Which of the two would go? Both stay, and the plan says so."""
    cluster = a_kept_pair()
    walk = Walk(cluster, scenes.a_release_of(version="3.0.0", settle="roll")).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert set(cluster.deployments) == {"hello", "hello-green"}
    assert walk.release.plan is not None
    assert any("both stay" in note for note in walk.release.plan.notes)


def test_apply_to_the_idle_deployment_says_so() -> None:
    cluster = a_kept_pair()
    green = a_deployment("hello-green", cluster.deployments["hello-green"].template)
    seen = an_observation(services=(cluster.services["hello"],), survey=Survey(leftovers=(green,)))
    planned = decide(
        a_release(Reapply(a_template("1.0.0", terminationGracePeriodSeconds=5))), seen, T0
    ).release
    assert planned.plan is not None, planned.cause
    assert "hello gets no traffic now; hello-green serves and is left alone" in planned.plan.notes
