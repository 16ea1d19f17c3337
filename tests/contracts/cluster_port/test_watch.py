from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.cluster.watch import Change, Watcher
from bot.releases.facts.outside_change import LastSeen
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, deployment
from tests.contracts.cluster_port.test_apply import rolling, with_image


class Seen:
    """A watcher and everything it told."""

    def __init__(self, watcher: Watcher, changes: list[Change]) -> None:
        self.watcher = watcher
        self.changes = changes

    def past(self) -> list[tuple[str, ...]]:
        told = (one.outside_change for one in list(self.changes))
        return [(*one.changed, one.manager) for one in told if one is not None]


@pytest.fixture
def seen(lab: Lab) -> Iterator[Seen]:
    changes: list[Change] = []
    with lab.cluster.watch([lab.namespace], changes.append) as watcher:
        assert eventually(lambda: watcher.is_synced)
        yield Seen(watcher, changes)
        assert watcher.is_alive
    assert not watcher.is_alive


def test_existing_objects_are_reported_once_and_not_as_changed(lab: Lab, seen: Seen) -> None:
    first = list(seen.changes)
    assert {(one.kind, one.deployment, one.service) for one in first} >= {
        ("deployments", "hello", ""),
        ("replicasets", "hello", ""),
        ("pods", "hello", ""),
        ("services", "", "hello"),
        ("endpointslices", "", "hello"),
    }
    assert seen.past() == []
    assert all(one.namespace == lab.namespace for one in first)


def test_our_own_roll_is_reported_pod_by_pod_and_never_as_outside_change(
    lab: Lab, seen: Seen
) -> None:
    seen.changes.clear()
    lab.cluster.apply(lab.target, rolling(lab.stable()))
    lab.settled()
    assert eventually(
        lambda: sum(one.kind == "pods" and one.deployment == "hello" for one in seen.changes) >= 4
    )
    assert eventually(lambda: any(one.service == "hello" for one in seen.changes))
    assert seen.past() == []
    assert eventually(lambda: any(one.kind == "deployments" and one.urgent for one in seen.changes))
    assert sum(not one.urgent for one in seen.changes) > sum(one.urgent for one in seen.changes)


def test_an_outside_roll_is_reported_with_its_manager(lab: Lab, seen: Seen) -> None:
    template = with_image(lab.stable().template, "kelseyhightower/hello:2.0.0")
    lab.edit("deployments", "hello", {"spec": {"template": template}}, manager="kubectl-set")
    assert eventually(lambda: ("template", "kubectl-set") in seen.past())
    told = next(one.outside_change for one in seen.changes if one.outside_change)
    assert told.images_before[0] == "kelseyhightower/hello:1.0.0"
    assert told.images_after[0] == "kelseyhightower/hello:2.0.0"


def test_scaling_through_the_subresource_shows_as_kubectl_scale(lab: Lab, seen: Seen) -> None:
    lab.cluster.connection.patch(
        lab.path("deployments", "hello") + "/scale",
        {"spec": {"replicas": 3}},
        {"fieldManager": "kubectl"},
        content_type="application/merge-patch+json",
    )
    assert eventually(lambda: ("replicas", "kubectl, subresource scale") in seen.past())


def test_created_and_deleted_deployments_are_reported(lab: Lab, seen: Seen) -> None:
    other = deployment("other", selector={"matchLabels": {"app": "other"}})
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    lab.create("deployments", other)
    assert eventually(lambda: ("created", "kubectl-create") in seen.past())
    lab.delete("deployments", "other")
    assert eventually(lambda: ("deleted", "") in seen.past())


def test_the_next_watcher_tells_what_happened_while_none_watched(lab: Lab) -> None:
    first: list[Change] = []
    with lab.cluster.watch([lab.namespace], first.append) as watcher:
        assert eventually(lambda: watcher.is_synced)
    remembered: dict[tuple[str, str, str], LastSeen] = {
        (one.namespace, one.kind, one.deployment or one.service): one.seen
        for one in first
        if one.seen is not None
    }
    template = with_image(lab.stable().template, "kelseyhightower/hello:2.0.0")
    lab.edit("deployments", "hello", {"spec": {"template": template}}, manager="kubectl-set")
    elsewhere = {"spec": {"selector": {"app": "elsewhere"}}}
    lab.edit("services", "hello", elsewhere, manager="kubectl-edit")
    changes: list[Change] = []
    with lab.cluster.watch([lab.namespace], changes.append, remembered) as watcher:
        assert eventually(lambda: watcher.is_synced)
        assert sorted(Seen(watcher, changes).past()) == [
            ("selector", "kubectl-edit"),
            ("template", "kubectl-set"),
        ]
        assert all(one.outside_change.missed for one in changes if one.outside_change)
