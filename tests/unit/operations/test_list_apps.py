"""What `/apps` says each app runs, where the record knows it and where only the cluster does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.operations.context import App, Catalog, Context
from bot.operations.queries.list_apps import list_apps
from bot.policy.permissions import Access
from bot.ports import Cluster, ClusterUnreachable, Table
from bot.releases.facts.card_snapshot import VersionCount
from bot.releases.facts.changes import Scale
from bot.releases.facts.observation import Observation
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.slack.blocks.rendering import SlackRendering
from tests.blocks.stories import PROMOTING
from tests.builders import (
    DEVELOPER,
    a_deployment,
    a_release,
    a_service,
    a_target,
    a_template,
    an_observation,
)
from tests.fakes.in_memory_store import InMemoryReleaseStore


@dataclass
class InMemoryClusters:
    """By the cluster's name what each app's Deployment is; a name without any is a cluster that
    is unreachable."""

    seen: Mapping[str, Mapping[str, Observation]]

    def __getitem__(self, name: str) -> Cluster:
        return cast(Cluster, GlancedCluster(self.seen[name]))

    def names(self) -> tuple[str, ...]:
        return tuple(self.seen)


@dataclass
class GlancedCluster:
    seen: Mapping[str, Observation]

    def observe_apps(self, targets: Sequence[Target]) -> Mapping[str, Observation]:
        if not self.seen:
            raise ClusterUnreachable("no answer within 3 s")
        return {target.app: self.seen[target.app] for target in targets}


def listed(
    seen: Mapping[str, Mapping[str, Observation]],
    places: Mapping[str, str],
    store: InMemoryReleaseStore,
) -> Table:
    unused = cast(Any, None)
    apps = {
        name: App(
            a_target(app=name, deployment=name, services=(name,), cluster=cluster),
            Rules(),
            "C0RELEASES",
            Strategy.ROLLING,
        )
        for name, cluster in places.items()
    }
    catalog = Catalog(apps, tuple(seen), Access(frozenset(), {}))
    context = Context(
        store, unused, InMemoryClusters(seen), unused, unused, catalog, SlackRendering(), unused
    )
    return list_apps(context)


def versions(table: Table) -> dict[str, str]:
    return {row[0]: row[1] for row in table.rows}


def runs(version: str, **facts: Any) -> Observation:
    return an_observation(a_deployment(template=a_template(version), **facts))


@pytest.fixture
def store() -> InMemoryReleaseStore:
    return InMemoryReleaseStore()


def test_a_version_is_shown_without_any_release(store: InMemoryReleaseStore) -> None:
    assert versions(listed({"local": {"hello": runs("1.4.0")}}, {"hello": "local"}, store)) == {
        "hello": "1.4.0"
    }


def test_an_unreachable_cluster_hides_only_its_own_versions(
    store: InMemoryReleaseStore,
) -> None:
    table = listed(
        {"local": {"hello": runs("1.4.0")}, "west": {}}, {"hello": "local", "auth": "west"}, store
    )
    assert versions(table) == {"auth": "-", "hello": "1.4.0"}
    assert table.note == "auth: the cluster west is unreachable: no answer within 3 s"


def test_an_app_without_a_deployment_is_named(store: InMemoryReleaseStore) -> None:
    table = listed(
        {"local": {"hello": replace(runs("1.0.0"), stable=None)}}, {"hello": "local"}, store
    )
    assert (versions(table), table.note) == ({"hello": "-"}, "without a Deployment: hello")


def test_scaling_leaves_the_version(
    store: InMemoryReleaseStore,
) -> None:
    store.create(
        a_release(Scale(3), requested_by=DEVELOPER), dedup_key="one", same_as="one", operation="one"
    )
    assert versions(listed({"local": {"hello": runs("1.4.0")}}, {"hello": "local"}, store)) == {
        "hello": "1.4.0"
    }


def test_a_pair_shows_the_version_that_serves(store: InMemoryReleaseStore) -> None:
    blue = a_deployment(template=a_template("1.0.0", labels={"app": "hello", "version": "blue"}))
    green = a_deployment(
        "hello-green", template=a_template("2.0.0", labels={"app": "hello", "version": "green"})
    )
    service = a_service(selector={"app": "hello", "version": "green"})
    seen = replace(an_observation(blue), candidate=green, services=(service,))
    assert versions(listed({"local": {"hello": seen}}, {"hello": "local"}, store)) == {
        "hello": "2.0.0"
    }


def test_during_a_release_the_last_observation_says_what_runs(store: InMemoryReleaseStore) -> None:
    """Neither what the release found nor what it means to do."""
    draft = replace(PROMOTING, id="", version=0)
    running = store.create(draft, dedup_key="one", same_as="one", operation="one").release
    counts = (
        VersionCount("stable", "1.0.0", False, 3, 3, 3),
        VersionCount("candidate", "2.0.0", True, 1, 1, 1),
    )
    seen = {"local": {"hello": runs("1.0.0")}}
    snapshot = replace(running.card_snapshot, versions=counts)
    running = store.save(replace(running, card_snapshot=snapshot), (), operation="observe")
    table = listed(seen, {"hello": "local"}, store)
    assert versions(table) == {"hello": "1.0.0 (3 pods) and 2.0.0 (1 pod)"}
    assert table.rows[0][-1] == f"{running.id}: waiting for approval"
    away = listed({"local": {}}, {"hello": "local"}, store)
    assert versions(away) == {"hello": "1.0.0 (3 pods) and 2.0.0 (1 pod)"}
