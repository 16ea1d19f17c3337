"""An app with two clusters: each command, button and list is about one of them, and none is
guessed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.commands.model import PodsCommand, RolloutCommand, Suggestion, TrafficCommand
from bot.commands.parse import parse
from bot.operations.context import App, Catalog, Context, thread_key
from bot.operations.intake.handle_click import handle_click
from bot.operations.intake.handle_command import handle_command
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.run_query import run_query
from bot.operations.queries.side_by_side import by_cluster, side_by_side
from bot.operations.replies import OpenFormReply, Pending, Refusal, Reply
from bot.operations.requests import Click, Invocation
from bot.operations.starts.answer_start import answer_start
from bot.ports import WORKER_ALIVE, Cluster, ClusterUnreachable
from bot.query import Query, ReplyTo
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.fleet import Wave
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.runtime import SystemRuntime
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.blocks.words import headline
from bot.slack.home_tab import publish_home
from tests.builders import (
    DEVELOPER,
    a_deployment,
    a_release,
    a_replica_set,
    a_target,
    a_template,
    an_observation,
    pods_for,
)
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.unit.operations.test_answer_start import EVERYONE, SimulatedView

CHANNEL = "C0RELEASES"


def running(version: str, before: str, *, cluster: str) -> SimulatedView:
    template, first = a_template(version), a_template(before)
    pods = pods_for("hello-2", template, 3)
    sets = (
        a_replica_set("hello-1", first, revision=1),
        a_replica_set("hello-2", template, revision=2, pods=pods),
    )
    seen = an_observation(a_deployment(template=template, replica_sets=sets))
    return SimulatedView(replace(seen, cluster_uid=f"uid of {cluster}"))


def app_on(cluster: str) -> App:
    target = a_target(cluster=cluster, among_clusters=True, one_of_many=True)
    return App(target, Rules(), CHANNEL, Strategy.ROLLING)


class Fleet:
    """hello runs on eu and us."""

    def __init__(self) -> None:
        self.store, self.messenger = InMemoryReleaseStore(), RecordingMessenger()
        apps = [app_on("eu"), app_on("us")]
        self.clusters = {
            "eu": running("2.0.0", "1.0.0", cluster="eu"),
            "us": running("7.0.0", "6.0.0", cluster="us"),
        }
        directory = InMemoryDirectory()
        directory.channels[DEVELOPER.user] = frozenset({CHANNEL})
        self.context = Context(
            self.store,
            self.store.queue,
            cast(Any, cast(dict[str, Cluster], self.clusters)),
            self.messenger,
            directory,
            Catalog({app.target.typed: app for app in apps}, ("eu", "us", "lab"), EVERYONE),
            SlackRendering(("hello",)),
            cast(Any, None),
        )
        self.store.put(WORKER_ALIVE, "1", ttl_ms=3_600_000)

    def typed(self, text: str, thread_ts: str = "") -> Invocation:
        return Invocation(
            DEVELOPER, CHANNEL, text, "/deploy", f"command:{text}", thread_ts=thread_ts
        )

    def type(self, text: str, thread_ts: str = "") -> Reply:
        return handle_command(self.context, self.typed(text, thread_ts))

    def click(self, action: str, release: Release) -> Reply:
        value = json.dumps({"release": release.id, "step": "confirmed"})
        return handle_click(
            self.context, Click(DEVELOPER, CHANNEL, action, value, "1.0", dedup_key=action)
        )

    def work(self) -> str:
        for name in self.context.catalog.apps:
            while answer_start(self.context, name).again_at is not None:
                pass
        queries, self.store.queue.asked = self.store.queue.asked, []
        for query in queries:
            run_query(self.context, query)
        return "\n".join(one.message.text for one in self.messenger.sent)

    def release(self, cluster: str, version: str, phase: Phase = Phase.SUCCEEDED) -> Release:
        app = self.context.catalog.named("hello", cluster)
        made = self.store.create(
            replace(
                a_release(Deploy(version)),
                id="",
                target=app.target,
                to_version=version,
                channel=CHANNEL,
            ),
            dedup_key="",
            same_as="",
            operation=f"{cluster} {version}",
        ).release
        over = replace(made, phase=phase, started_at=1, finished_at=self.store.now() - 1)
        return self.store.save(over, (), operation=f"end {made.id}")


def test_a_command_without_a_cluster_is_refused_with_the_list() -> None:
    fleet = Fleet()
    reply = fleet.type("scale hello 5")
    assert isinstance(reply, Refusal)
    assert reply.line == "hello is in eu and us. Which one? Add `in=eu` or `in=us`."
    assert [(one.text, one.how) for one in reply.instead] == [
        ("/scale hello 5 in=eu", "confirm"),
        ("/scale hello 5 in=us", "confirm"),
    ]
    assert reply.instead[0].effect == "This runs scale hello 5 in=eu, in default on eu."
    assert not fleet.store.recent()


def test_undo_after_a_release_of_one_cluster_leaves_the_other_alone() -> None:
    fleet = Fleet()
    fleet.release("eu", "2.0.0")
    fleet.release("us", "7.0.0")
    assert isinstance(fleet.type("rollout undo hello"), Refusal)
    assert fleet.type("rollout undo hello in=us") == Pending()
    fleet.work()
    (undo,) = fleet.store.active()
    assert isinstance(undo.change, Undo) and undo.target.cluster == "us"


def test_the_release_of_one_cluster_neither_runs_nor_queues_in_the_other() -> None:
    fleet = Fleet()
    running_in_us = fleet.release("us", "7.0.0", Phase.PROGRESSING)
    assert running_release(fleet.context, app_on("eu").target) is None
    assert running_release(fleet.context, app_on("us").target) == running_in_us
    reply = fleet.type("rollout abort hello in=eu")
    assert isinstance(reply, Refusal) and "No release of hello in eu is running" in reply.line
    fleet.type("deploy hello 3.0.0 in=eu")
    assert "hello in eu → 3.0.0 rolling: started as hello-2" in fleet.work()


def test_roll_back_on_a_card_acts_in_its_cluster() -> None:
    fleet = Fleet()
    in_eu = fleet.release("eu", "2.0.0")
    fleet.release("us", "7.0.0")  # later, elsewhere: the button of eu is not void
    assert fleet.click("undo", in_eu) == Pending()
    fleet.work()
    (undo,) = fleet.store.active()
    assert undo.target.cluster == "eu"


def test_retry_opens_the_form_of_its_cluster() -> None:
    fleet = Fleet()
    reply = fleet.click("retry", fleet.release("us", "7.0.0", Phase.FAILED))
    assert isinstance(reply, OpenFormReply) and reply.app == "hello in=us"


def test_the_thread_of_a_card_knows_the_cluster() -> None:
    fleet = Fleet()
    fleet.store.put(thread_key(CHANNEL, "1.0"), "hello in=us", ttl_ms=60_000)
    assert fleet.type("rollout undo", thread_ts="1.0") == Pending()
    assert fleet.store.next_to_start("hello in=us") is not None
    assert fleet.type("rollout undo hello in=eu", thread_ts="1.0") == Pending()
    assert fleet.store.next_to_start("hello in=eu") is not None


def test_explain_asks_which_cluster() -> None:
    fleet = Fleet()
    reply = fleet.type("explain deployment.spec")
    assert isinstance(reply, Refusal)
    assert reply.line == (
        "The apps of this channel are in eu and us. Which one? Add `in=eu` or `in=us`."
    )
    assert fleet.type("explain deployment.spec in=us") == Pending()
    assert fleet.store.queue.asked[-1].apps == ("hello in=us",)


def test_titles_name_the_cluster() -> None:
    fleet = Fleet()
    assert headline(fleet.release("us", "7.0.0")).startswith("Deploy hello in us ")


def test_the_home_tab_offers_each_place() -> None:
    fleet = Fleet()
    fleet.release("us", "7.0.0")
    publish_home(fleet.context, DEVELOPER)
    shown = fleet.messenger.sent[-1].message.text
    assert "hello in eu" in shown and "deploy hello in=eu" in shown
    assert "hello in us" in shown and "deploy hello in=us" in shown


def test_a_question_carries_its_place() -> None:
    fleet = Fleet()
    assert fleet.type("rollout history hello in=eu") == Pending()
    assert fleet.store.queue.asked[-1].apps == ("hello in=eu",)


def test_a_suggestion_repairs_a_foreign_cluster() -> None:
    fleet = Fleet()
    reply = fleet.type("pods hello in=lab")
    assert isinstance(reply, Refusal)
    assert reply.line == "hello is in eu and us, not in lab. Write `in=eu` or `in=us`."
    assert reply.instead[0] == Suggestion("/pods hello in=eu")


@pytest.mark.parametrize("text", ["pods", "traffic", "rollout status", "rollout history"])
def test_what_only_reads_shows_all_clusters_of_an_app(text: str) -> None:
    fleet = Fleet()
    assert fleet.type(f"{text} hello") == Pending()
    shown = fleet.work()
    assert "hello in eu" in shown and "hello in us" in shown
    assert "lab" not in shown


def test_apps_names_versions_that_differ_and_the_fleet_that_is_under_way() -> None:
    fleet = Fleet()
    catalog = replace(fleet.context.catalog, waves={"hello": (Wave(("eu",)), Wave(("us",)))})
    fleet.context = replace(fleet.context, catalog=catalog)
    fleet.type("deploy hello 8.0.0")
    fleet.type("apps")
    shown = fleet.work()
    assert "hello differs: 2.0.0 in eu; 7.0.0 in us" in shown
    assert "hello-1: queued, none of the fleet is on 8.0.0" in shown


@pytest.mark.parametrize("text", ["pods", "rollout status", "rollout history"])
def test_a_cluster_that_does_not_answer_hides_no_other(text: str) -> None:
    fleet = Fleet()
    fleet.clusters["us"].away = "no answer within 3 s"
    apps = tuple(fleet.context.catalog.apps)
    command = parse(f"{text} in=eu", fleet.context.catalog.known())
    assert isinstance(command, PodsCommand | RolloutCommand)
    query = Query(replace(command, app=None, cluster=None), DEVELOPER, ReplyTo(CHANNEL), apps)
    run_query(fleet.context, query)
    shown = json.dumps([str(one.message) for one in fleet.messenger.sent])
    assert "hello in us: the cluster us is unreachable: no answer within 3 s" in shown
    assert "hello in eu" in shown


def test_traffic_of_all_names_the_cluster_that_is_away() -> None:
    fleet = Fleet()
    fleet.clusters["us"].away = "no answer within 3 s"
    asked = Query(TrafficCommand(), DEVELOPER, ReplyTo(CHANNEL), tuple(fleet.context.catalog.apps))
    run_query(fleet.context, asked)
    shown = json.dumps([str(one.message) for one in fleet.messenger.sent])
    assert "Traffic on us" in shown and "no answer within 3 s" in shown
    assert "hello in eu: ready endpoints of hello" in shown
    fleet.clusters["eu"].away = "refuses connections"
    run_query(fleet.context, asked)
    assert "The cluster is unreachable: refuses connections" in fleet.work()


def test_clusters_are_asked_side_by_side() -> None:
    """Each waits until the other is asked too."""
    together = threading.Barrier(2, timeout=20)

    def ask(apps: tuple[App, ...]) -> str:
        together.wait()
        if apps[0].target.cluster == "us":
            raise ClusterUnreachable("away")
        return "here"

    answers = side_by_side(SystemRuntime(), by_cluster((app_on("eu"), app_on("us"))), ask)
    assert answers["eu"] == "here" and isinstance(answers["us"], ClusterUnreachable)
