from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.cluster.watch import Change, Watcher
from sandbox.cluster import SimulatedCluster
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
def watcher(lab: Lab, changes: list[Change]) -> Iterator[Watcher]:
    with lab.cluster.watch(["default"], changes.append) as running:
        assert eventually(lambda: running.is_synced)
        changes.clear()
        yield running
        assert running.is_alive


def scaled(changes: list[Change]) -> bool:
    return any(
        one.outside_change is not None and "replicas" in one.outside_change.changed
        for one in list(changes)
    )


def test_an_expired_watch_starts_over_with_a_list(
    lab: Lab, simulation: SimulatedCluster, watcher: Watcher, changes: list[Change]
) -> None:
    simulation.expire_watches()
    assert eventually(
        lambda: {one.kind for one in list(changes)} >= {"deployments", "pods", "services"}
    )
    assert eventually(lambda: watcher.is_synced)
    lab.edit("deployments", "hello", {"spec": {"replicas": 3}})
    assert eventually(lambda: scaled(changes))


def test_changes_made_during_an_outage_are_reported_after_it(
    lab: Lab, simulation: SimulatedCluster, watcher: Watcher, changes: list[Change]
) -> None:
    def break_and_change() -> None:
        simulation.expire_watches()
        lab.edit("deployments", "hello", {"spec": {"replicas": 3}}, manager="kubectl-edit")

    break_and_change()
    assert eventually(lambda: scaled(changes))
    told = next(one.outside_change for one in changes if one.outside_change)
    assert (told.manager, told.replicas_before, told.replicas_after) == ("kubectl-edit", 2, 3)


def test_an_outage_is_reported_once_and_ends(
    lab: Lab, simulation: SimulatedCluster, watcher: Watcher, changes: list[Change]
) -> None:
    simulation.unreachable(1.0)
    assert eventually(lambda: bool(watcher.troubles()))
    assert "refuses connections" in watcher.troubles()[0] or "broke" in watcher.troubles()[0]
    assert eventually(lambda: watcher.is_synced and not watcher.troubles(), within_s=20)
    lab.edit("deployments", "hello", {"spec": {"replicas": 3}})
    assert eventually(lambda: scaled(changes))


def test_the_next_list_reports_what_was_deleted_meanwhile(
    lab: Lab, simulation: SimulatedCluster, watcher: Watcher, changes: list[Change]
) -> None:
    lab.delete("services", "hello")
    simulation.expire_watches()
    assert eventually(
        lambda: any(one.service == "hello" and one.kind == "services" for one in list(changes))
    )
