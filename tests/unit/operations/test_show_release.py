"""`/release`: which release is meant, what its story holds, and what it changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.commands.model import ReleaseCommand
from bot.operations.context import App, Catalog, Context, thread_key
from bot.operations.queries.show_release import show_release
from bot.operations.replies import ComparisonReply, Refusal, Reply, StoryReply
from bot.policy.permissions import Access
from bot.ports import AuditLine, Cluster
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.releases.planning.refusals import PlanRefused
from bot.slack.blocks.rendering import SlackRendering
from tests.blocks.stories import AS_FOUND
from tests.builders import (
    T0,
    a_deployment,
    a_release,
    a_replica_set,
    a_target,
    a_template,
    an_observation,
)
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger


@dataclass
class ObservedCluster:
    seen: Observation

    def __getitem__(self, name: str) -> Cluster:
        return cast(Cluster, self)

    def observe(self, target: Target, **_: Any) -> Observation:
        return self.seen


def answered(
    store: InMemoryReleaseStore, command: ReleaseCommand, seen: Observation | None = None
) -> Reply:
    unused = cast(Any, None)
    app = App(a_target(), Rules(), "C0RELEASES", Strategy.ROLLING)
    context = Context(
        store,
        unused,
        cast(Any, ObservedCluster(seen or an_observation(a_deployment()))),
        RecordingMessenger(),
        unused,
        Catalog({"hello": app}, ("local",), Access(frozenset(), {})),
        SlackRendering(),
        unused,
    )
    return show_release(context, command)


@pytest.fixture
def store() -> InMemoryReleaseStore:
    return InMemoryReleaseStore()


def done(store: InMemoryReleaseStore, **facts: Any) -> Release:
    draft = replace(a_release(), id="", version=0)
    name = str(len(store.recent()))
    created = store.create(draft, dedup_key="", same_as=name, operation=f"create {name}").release
    final = {"phase": Phase.SUCCEEDED, "as_found": AS_FOUND, "started_at": T0, **facts}
    return store.save(replace(created, **final), (), operation=f"end {created.id}")


def compared(reply: Reply) -> dict[str, tuple[str, str]]:
    assert isinstance(reply, ComparisonReply)
    return {what: (before, after) for what, before, after in reply.rows}


def test_a_release_is_found_by_its_id_its_card_and_its_app(store: InMemoryReleaseStore) -> None:
    first, last = done(store), done(store)
    store.record_card(first.id, channel="C1", ts="1800000000.000100")
    store.put(thread_key("C1", "1800000000.000100"), "hello", ttl_ms=60_000)
    for command, expected in (
        (ReleaseCommand(first.id), first),
        (ReleaseCommand(card="C1/1800000000.000100"), first),
        (ReleaseCommand(app="hello"), last),
    ):
        reply = answered(store, command)
        assert isinstance(reply, StoryReply)
        assert reply.release.id == expected.id


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (ReleaseCommand("hello-99"), "There is no release hello-99."),
        (ReleaseCommand(card="C1/1.2"), "That message is not the card of a release."),
        (ReleaseCommand(app="hello"), "hello was never released here."),
    ],
)
def test_what_is_no_release_is_refused(
    store: InMemoryReleaseStore, command: ReleaseCommand, line: str
) -> None:
    reply = answered(store, command)
    assert isinstance(reply, Refusal)
    assert reply.line == line


def test_a_story_holds_the_lines_of_its_own_release_in_order(store: InMemoryReleaseStore) -> None:
    release = done(store)
    for number, (of, kind) in enumerate(
        [
            (release.id, "voted"),
            ("hello-99", "voted"),
            (release.id, "wrote"),
            (release.id, "paused"),
        ]
    ):
        line = AuditLine(T0 + number, of, "hello", kind, f"line {number}", "manager")
        store.write_audit(line, operation=f"write {number}")
    reply = answered(store, ReleaseCommand(release.id))
    assert isinstance(reply, StoryReply)
    assert [one.text for one in reply.lines] == ["line 0", "line 3"]


def test_comparing_shows_what_differs_and_no_value_of_the_environment(
    store: InMemoryReleaseStore,
) -> None:
    release = done(store)
    after = a_template("2.0.0")
    after["spec"]["containers"][0]["env"] = [{"name": "MODE", "value": "s3cr3t"}]
    seen = an_observation(a_deployment(template=after, replicas=5))
    rows = compared(answered(store, ReleaseCommand(release.id, compare=True), seen))
    assert rows == {
        "replicas": ("3", "5"),
        "env MODE of hello": ("nothing", "set"),
        "containers.hello.image": ("kelseyhightower/hello:1.0.0", "kelseyhightower/hello:2.0.0"),
    }


def test_comparing_after_a_later_release_uses_the_revision_of_this_one(
    store: InMemoryReleaseStore,
) -> None:
    release = done(store)
    done(store)
    cause = f"deploy 2.0.0 by developer, {release.id}"
    brought = a_replica_set("hello-2", a_template("2.0.0"), revision=2, change_cause=cause)
    now = a_replica_set("hello-3", a_template("3.0.0"), revision=3, change_cause=f"{cause}0")
    deployment = a_deployment(template=a_template("3.0.0"), replicas=5, replica_sets=(now, brought))
    seen = an_observation(deployment)
    rows = compared(answered(store, ReleaseCommand(release.id, compare=True), seen))
    assert rows["containers.hello.image"][1].endswith(":2.0.0")
    assert "replicas" not in rows, "a ReplicaSet of the past does not say"


def test_a_rollback_leaves_nothing_that_differs(store: InMemoryReleaseStore) -> None:
    release = done(store, phase=Phase.ROLLED_BACK)
    reply = answered(store, ReleaseCommand(release.id, compare=True))
    assert compared(reply) == {}
    assert isinstance(reply, ComparisonReply) and reply.note.endswith("Nothing differs.")


def test_a_release_that_never_read_the_cluster_has_nothing_to_compare(
    store: InMemoryReleaseStore,
) -> None:
    release = done(store, phase=Phase.FAILED, as_found=None)
    with pytest.raises(PlanRefused, match="changed nothing"):
        answered(store, ReleaseCommand(release.id, compare=True))
