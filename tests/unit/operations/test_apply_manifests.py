"""`/apply` beside the releases of its app: what is confirmed is what is written, in its turn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from bot.commands.model import ApplyCommand
from bot.operations.context import App, Catalog, Context
from bot.operations.queries.keep_query import peek_query
from bot.operations.queries.run_query import run_query
from bot.policy.permissions import Access, Grant, Role
from bot.ports import Cluster, ObjectChange
from bot.query import Query
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import DEVELOPER, a_query, a_release, a_target
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "hello"},
    "data": {"a": "1"},
}


@dataclass
class SimulatedManifests:
    """The cluster of `/apply`: it would create one ConfigMap."""

    written: list[str] = field(default_factory=list)

    def plan_manifests(
        self, target: Target, manifests: Sequence[Mapping[str, Any]]
    ) -> tuple[ObjectChange, ...]:
        return (ObjectChange("ConfigMap", "hello", target.namespace, "create", ("+a: 1",)),)

    def apply_manifests(
        self, target: Target, manifests: Sequence[Mapping[str, Any]], *, skip_template_of: str
    ) -> tuple[ObjectChange, ...]:
        self.written += [str(one["kind"]) for one in manifests]
        return self.plan_manifests(target, manifests)

    def load(
        self, folder: str, manifests: Sequence[str], files: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], ...]:
        return (CONFIG,)


@dataclass
class Scene:
    context: Context
    store: InMemoryReleaseStore
    messenger: RecordingMessenger
    cluster: SimulatedManifests

    def starts(self, release: Release) -> Release:
        draft = replace(release, id="", target=replace(release.target, cluster="local"))
        return self.store.create(draft, dedup_key="", same_as="", operation="deploy").release

    def shows(self) -> Query:
        """What the button under the diff carries."""
        run_query(self.context, a_query(ApplyCommand("hello"), dedup_key="typed"))
        (token,) = re.findall(r"\b[0-9a-f]{32}\b", repr(self.messenger.sent[-1].message))
        query = peek_query(self.context, "confirm", token)
        assert query is not None
        return query

    def confirms(self, query: Query) -> str:
        run_query(self.context, query)
        return self.messenger.sent[-1].message.text


@pytest.fixture
def scene() -> Scene:
    store, messenger, cluster = InMemoryReleaseStore(), RecordingMessenger(), SimulatedManifests()
    app = App(a_target(cluster="local"), Rules(), "C0RELEASES", Strategy.ROLLING, ("hello.yaml",))
    access = Access(frozenset(), {Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user}))})
    context = Context(
        store,
        store.queue,
        cast(Any, {"local": cast(Cluster, cluster)}),
        messenger,
        InMemoryDirectory(),
        Catalog({"hello": app}, ("local",), access),
        SlackRendering(),
        cast(Any, cluster),
    )
    return Scene(context, store, messenger, cluster)


def test_nothing_is_applied_while_a_release_of_the_app_runs(scene: Scene) -> None:
    query = scene.shows()
    release = scene.starts(a_release())
    said = scene.confirms(query)
    assert release.id in said and "Nothing was applied" in said
    assert scene.cluster.written == []
