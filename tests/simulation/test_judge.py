"""What the judge allows, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.ports import Created
from bot.releases.facts.observation import CLAIM_ANNOTATION
from bot.releases.facts.release import Phase, Release
from tests.builders import T0, a_release, a_service
from tests.fakes.in_memory_store import InMemoryReleaseStore, InMemoryWorkQueue
from tests.simulation.cluster import Namespace
from tests.simulation.judge import Judge
from tests.simulation.slack import SimulatedSlack
from tests.simulation.trace import Trace
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.scenes import a_blue


@pytest.fixture
def release() -> Release:
    return a_release(id="hello-9")


@pytest.fixture
def cluster() -> ModelledCluster:
    return ModelledCluster(a_blue(), services={"hello": {"app": "hello"}})


@pytest.fixture
def judge(release: Release, cluster: ModelledCluster) -> Judge:
    namespaces = {release.target.namespace: Namespace(cluster)}
    return Judge(Trace(), lambda: T0, namespaces, SimulatedSlack(lambda: T0))


def ends(judge: Judge) -> list[str]:
    store = InMemoryReleaseStore(InMemoryWorkQueue(), releases_kept=9, clock=lambda: T0)
    judge.check_ends(store, context=None)  # type: ignore[arg-type]  # no release is over
    return judge.violations


def test_a_claim_that_is_left_behind_is_found(
    judge: Judge, release: Release, cluster: ModelledCluster
) -> None:
    judge.on_store("create", (), Created(release, fresh=True))
    cluster.deployments["hello"].annotations[CLAIM_ANNOTATION] = release.id
    assert "is claimed by hello-9" in "".join(ends(judge))


def test_a_release_that_redis_forgot_may_leave_its_claim(
    judge: Judge, release: Release, cluster: ModelledCluster
) -> None:
    judge.on_remembered()
    judge.on_store("create", (), Created(release, fresh=True))
    cluster.deployments["hello"].annotations[CLAIM_ANNOTATION] = release.id
    judge.on_lost_second()
    assert ends(judge) == []


def test_a_preview_that_is_left_behind_is_found(judge: Judge, cluster: ModelledCluster) -> None:
    left = a_service("hello-preview", annotations={CLAIM_ANNOTATION: "hello-9"})
    cluster.services["hello-preview"] = left
    assert "Service hello-preview of hello-9 is left" in "".join(ends(judge))


def test_a_change_that_nobody_made_is_found(judge: Judge, release: Release) -> None:
    judge.on_store("save", (release, ()), replace(release, phase=Phase.PROGRESSING))
    judge.on_store("save", (release, ()), replace(release, phase=Phase.DRIFTED))
    assert "a change that nobody made" in "".join(judge.violations)


def test_a_change_that_somebody_made_is_told(judge: Judge, release: Release) -> None:
    judge.on_store("save", (release, ()), replace(release, phase=Phase.PROGRESSING))
    judge.on_other_writer(release.target.namespace, "hello", "replicas")
    judge.on_store("save", (release, ()), replace(release, phase=Phase.DRIFTED))
    assert judge.violations == []
