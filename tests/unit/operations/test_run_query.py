"""A query that fails: what the person reads, and what the log keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from bot.commands.model import ExplainCommand, GetCommand, RolloutCommand
from bot.operations.context import App, Catalog, Context
from bot.operations.queries.run_query import run_query
from bot.policy.permissions import Access, Grant, Role
from bot.ports import Cluster, ClusterUnreachable, Refused, StoreUnavailable, Table, UnknownField
from bot.query import QueryCommand
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import a_query, a_target
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

DEPLOYERS = Access(roles={Role.DEPLOYER: Grant(everyone=True)})


@dataclass
class SimulatedFailingCluster:
    failure: Exception

    def explain(self, path: str, *, recursive: bool) -> str:
        raise self.failure

    def table(self, targets: Sequence[Target], kind: str, *, wide: bool) -> Table:
        raise self.failure


def reply_after(failure: Exception, command: QueryCommand, cluster: str = "local") -> str:
    unused = cast(Any, None)
    store, messenger = InMemoryReleaseStore(), RecordingMessenger()
    app = App(a_target(cluster=cluster), Rules(), "C0RELEASES", Strategy.ROLLING)
    clusters = {"local": cast(Cluster, SimulatedFailingCluster(failure))}
    context = Context(
        store,
        store.queue,
        cast(Any, clusters),
        messenger,
        InMemoryDirectory(),
        Catalog({"hello": app}, ("local",), DEPLOYERS),
        SlackRendering(),
        unused,
    )
    run_query(context, a_query(command))
    (reply,) = messenger.sent
    assert reply.how == "post_privately"
    return reply.message.text


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (UnknownField("pod has no field `spek`"), "pod has no field `spek`"),
        (Refused("forbidden"), "forbidden"),
        (ClusterUnreachable("no answer"), "The cluster is unreachable: no answer"),
        (StoreUnavailable("Redis refuses writes"), "Redis refuses writes"),
    ],
)
def test_an_expected_failure_is_its_own_reply(
    failure: Exception, reply: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert reply_after(failure, ExplainCommand("pod.spek")).startswith(reply)
    assert not caplog.records


@pytest.mark.parametrize("failure", [KeyError("metadata"), IndexError("list index out of range")])
def test_a_programming_error_is_logged_under_the_id_in_the_reply(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reply = reply_after(failure, GetCommand("pods"))
    (record,) = caplog.records
    log_id = reply.removeprefix("Something went wrong on our side; it is logged as ").rstrip(".")
    assert len(log_id) == 8 and log_id in record.getMessage()
    assert record.exc_info is not None and record.exc_info[1] is failure


def test_a_command_that_needs_no_worker_is_a_logged_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = reply_after(Refused(""), RolloutCommand("abort", "hello"))
    assert reply.startswith("Something went wrong on our side")
    assert len(caplog.records) == 1


def test_a_cluster_that_left_the_catalog_is_named() -> None:
    reply = reply_after(Refused(""), ExplainCommand("pod"), cluster="west")
    assert reply.startswith("The cluster is unreachable: the catalog has no cluster west")
