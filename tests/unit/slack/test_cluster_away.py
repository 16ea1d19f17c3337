"""An unreachable cluster: queries and releases report it in one line, and nothing changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bot.cluster import KubernetesClusters
from bot.operations.context import Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.queries.run_query import run_query
from bot.releases.facts.release import Phase
from sandbox.slack import LocalSlack
from tests.conftest import eventually
from tests.unit.slack.conftest import CHANNEL, Bot


@pytest.fixture
def away(bot: Bot, tmp_path: Path) -> Context:
    """As a worker has it: the real client, and no API server at the address."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "local",
        "clusters": [{"name": "local", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "local", "user": {}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config), encoding="utf-8")
    return replace(
        bot.context,
        clusters=KubernetesClusters({"local": {"kubeconfig": str(tmp_path / "kubeconfig")}}),
    )


QUESTIONS = (
    "/pods hello",
    "/traffic hello",
    "/get pods hello",
    "/rollout status hello",
    "/rollout history hello",
    "/rollout pause hello",
    "/explain pod.spec",
    "/deploy hello 2.0.0 dry-run",
)


@pytest.mark.parametrize("typed", QUESTIONS)
def test_a_query_is_refused_privately_with_the_reason(
    bot: Bot, slack: LocalSlack, away: Context, typed: str
) -> None:
    slack.command("U0DEV1", CHANNEL, typed)
    (query,) = bot.queue.asked
    run_query(away, query)
    (told,) = (m for m in slack.messages(CHANNEL, user="U0DEV1") if "is unreachable" in m["text"])
    assert (
        told["text"].startswith("The cluster is unreachable: ")
        and "refuses connections" in told["text"]
    )
    assert (
        told["text"].endswith("Nothing was changed: try again in a moment.")
        and "Traceback" not in told["text"]
    )
    assert not [
        m for m in slack.messages(CHANNEL, user="U0MANAGER") if "is unreachable" in m["text"]
    ]


def test_a_release_waits_for_the_cluster_and_its_card_says_so(
    bot: Bot, slack: LocalSlack, away: Context
) -> None:
    slack.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    advance_release(away, "hello-1")
    assert eventually(lambda: deliver_release(bot.context, "hello-1") is None)
    title = "Deploy hello → 2.0.0 rolling"
    (card,) = (m for m in slack.messages(CHANNEL) if m["text"].startswith(title))
    assert (
        "local has been unreachable since" in card["text"]
        and "nothing changes meanwhile" in card["text"]
    )
    assert "refuses connections" in json.dumps(card["blocks"])
    assert bot.store.load("hello-1").phase is Phase.QUEUED
