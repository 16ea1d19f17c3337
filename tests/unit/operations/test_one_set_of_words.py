"""Pods have one set of roles, columns and words: in `/pods`, on the card and in its thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.operations.context import App, Catalog, Context
from bot.operations.queries.show_pods import show_pods
from bot.policy.permissions import Access
from bot.ports import Cluster
from bot.releases.assess.card_snapshot import take_card_snapshot
from bot.releases.facts.card_snapshot import POD_COLUMNS
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.blocks.tables import pods_table
from bot.slack.blocks.words import pods_words
from tests.blocks.stories import CANARY, GREEN, ROLLING
from tests.builders import (
    MINUTE,
    REPOSITORY,
    T0,
    a_container,
    a_deployment,
    a_pod,
    a_replica_set,
    a_target,
    a_template,
    an_observation,
)
from tests.fakes.in_memory_store import InMemoryReleaseStore

RESTARTED = a_container(
    f"{REPOSITORY}:2.0.0",
    ready=False,
    waiting="CrashLoopBackOff",
    restarts=2,
    last_terminated_at=T0 - MINUTE,
)


@dataclass
class ObservedCluster:
    seen: Observation

    def __getitem__(self, name: str) -> Cluster:
        return cast(Cluster, self)

    def observe(self, target: Target, **_: Any) -> Observation:
        return self.seen


def half_rolled() -> Observation:
    """One old pod is going, a new one crashes."""
    old = a_replica_set(
        "hello-1",
        a_template("1.0.0"),
        revision=1,
        pods=(a_pod("hello-1-a"), a_pod("hello-1-b", terminating=True)),
    )
    new = a_replica_set(
        "hello-2",
        a_template("2.0.0"),
        revision=2,
        pods=(a_pod("hello-2-a", ready=False, containers=(RESTARTED,)),),
    )
    stable = a_deployment(template=a_template("2.0.0"), replica_sets=(new, old))
    return an_observation(stable)


def beside(name: str) -> Observation:
    pods = (a_pod(f"{name}-1-a", image=f"{REPOSITORY}:2.0.0"),)
    candidate = a_deployment(
        name,
        template=a_template("2.0.0"),
        replica_sets=(a_replica_set(f"{name}-1", a_template("2.0.0"), pods=pods),),
    )
    return replace(an_observation(a_deployment()), candidate=candidate)


def rolled_back() -> Observation:
    """The old template is the newest revision again."""
    back = a_replica_set("hello-1", a_template("1.0.0"), revision=3, pods=(a_pod("hello-1-a"),))
    return an_observation(a_deployment(replica_sets=(back,)))


@pytest.mark.parametrize(
    ("release", "seen"),
    [
        (ROLLING, half_rolled()),
        (ROLLING, rolled_back()),
        (CANARY, beside("hello-canary")),
        (GREEN, beside("hello-green")),
    ],
    ids=["rolling", "rolling back", "canary", "blue/green"],
)
def test_pods_read_the_same_everywhere(release: Release, seen: Observation) -> None:
    unused = cast(Any, None)
    store = InMemoryReleaseStore()
    store.create(replace(release, id="", version=0), dedup_key="", same_as="", operation="create")
    app = App(a_target(), Rules(), "C0RELEASES", Strategy.ROLLING)
    catalog = Catalog({"hello": app}, ("local",), Access(frozenset(), {}))
    clusters = cast(Any, ObservedCluster(seen))
    context = Context(store, unused, clusters, unused, unused, catalog, SlackRendering(), unused)
    asked = show_pods(context, (app,))
    shown = replace(release, card_snapshot=take_card_snapshot(release, seen))
    thread = pods_table(shown, now=seen.at)
    assert asked.columns == thread.columns == POD_COLUMNS
    assert sorted(asked.rows) == sorted(thread.rows)
    roles = {row[0] for row in asked.rows}
    assert roles == {line.split(":")[0].split()[-1] for line in pods_words(shown)}


def test_a_terminating_pod_is_marked_everywhere() -> None:
    shown = replace(ROLLING, card_snapshot=take_card_snapshot(ROLLING, half_rolled()))
    assert "1.0.0 old: 1 of 1 ready, 1 terminating" in pods_words(shown)
    row = next(row for row in pods_table(shown, now=T0).rows if "hello-1-b" in row)
    assert "Terminating" in row
