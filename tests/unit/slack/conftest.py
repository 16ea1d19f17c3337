"""The real Bolt app over HTTP beside the local Slack; the store and the queue in memory."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.operations.access.roles import LAST_KIND
from bot.operations.context import App, Catalog, Context
from bot.operations.lifecycle.answer_requests import answer_requests
from bot.operations.queries.run_query import run_query
from bot.policy.freezes import Freeze
from bot.policy.permissions import Access, Grant, PersonKind, Role
from bot.ports import Cluster
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.slack.app import build_app
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.http import make_asgi
from bot.slack.identity import SlackDirectory
from bot.slack.messenger import SlackMessenger
from config.settings import Settings
from sandbox.slack import LocalSlack
from tests.builders import a_target
from tests.fakes.in_memory_store import InMemoryReleaseStore, InMemoryWorkQueue
from tests.fakes.recording_messenger import RecordingMessenger
from tests.shared_server import SharedServer

CHANNEL = "C0RELEASES"
PATIENT_S = 60.0
"""Slack gives the bot 3 s. Here a pause of the machine must not look like a slow bot: what is
done before an acknowledgement is asserted, not how long it took."""


class InMemoryClusters:
    """No cluster: the listeners never contact one."""

    def __getitem__(self, name: str) -> Cluster:
        raise KeyError(name)

    def names(self) -> tuple[str, ...]:
        return ("local",)


class InMemoryManifests:
    def load(
        self,
        folder: str,
        manifests: Sequence[str],
        files: Mapping[str, Mapping[str, Sequence[str]]],
    ) -> tuple[Mapping[str, Any], ...]:
        del folder, manifests, files
        return ()


@pytest.fixture(scope="session")
def slack_server() -> Iterator[LocalSlack]:
    with LocalSlack(rate_scale=0, ack_seconds=PATIENT_S, trigger_seconds=PATIENT_S) as slack:
        yield slack


@pytest.fixture
def slack(slack_server: LocalSlack) -> LocalSlack:
    slack_server.reset()
    return slack_server


@pytest.fixture
def settings(slack: LocalSlack) -> Settings:
    return Settings(
        redis_url="redis://127.0.0.1:1/0",
        config=Path("catalog.yaml"),
        slack_bot_token=slack.settings.bot_token,
        slack_signing_secret=slack.settings.signing_secret,
        slack_api_url=slack.api_url,
    )


@pytest.fixture
def messenger(slack: LocalSlack) -> SlackMessenger:
    return SlackMessenger(slack.settings.bot_token, slack.api_url)


def catalog() -> Catalog:
    apps = {
        name: App(
            a_target(app=name, deployment=name, services=(name,)),
            Rules(),
            CHANNEL,
            Strategy.ROLLING,
        )
        for name in ("hello", "auth")
    }
    roles = {
        Role.VIEWER: Grant(everyone=True),
        Role.DEPLOYER: Grant(users=frozenset({"U0DEV1"})),
        Role.APPROVER: Grant(users=frozenset({"U0MANAGER"})),
        Role.ADMIN: Grant(users=frozenset({"U0ADMIN"})),
    }
    return Catalog(apps, ("local",), Access(frozenset({CHANNEL}), roles))


@dataclass
class Bot:
    context: Context
    store: InMemoryReleaseStore
    queue: InMemoryWorkQueue
    url: str

    def answers(self) -> list[str]:
        """What a worker replies to the queries."""
        messenger = RecordingMessenger()
        queries, self.queue.asked = self.queue.asked, []
        for query in queries:
            run_query(replace(self.context, messenger=messenger), query)
        return [sent.message.text for sent in messenger.sent if sent.how != "edit"]

    def freeze(self, scope: str, *, by: Person) -> Freeze:
        freeze = Freeze(scope, "incident", by, self.store.now())
        assert self.store.change_freeze(scope, None, freeze)
        return freeze

    def settle(self, release_id: str) -> Release:
        """What people asked of the release takes effect, as a worker does it."""
        decision = answer_requests(self.context, self.store.load(release_id))
        return self.store.save(decision.release, decision.events, operation=uuid.uuid4().hex)


@pytest.fixture
def context(settings: Settings, messenger: SlackMessenger) -> Context:
    return Context(
        store=InMemoryReleaseStore(),
        queue=InMemoryWorkQueue(),
        clusters=InMemoryClusters(),
        messenger=messenger,
        directory=SlackDirectory(settings.slack_bot_token, settings.slack_api_url),
        catalog=catalog(),
        render=SlackRendering(("hello", "auth")),
        manifests=InMemoryManifests(),
    )


@contextlib.contextmanager
def serving(
    shared_server: SharedServer, context: Context, settings: Settings, slack: LocalSlack
) -> Iterator[str]:
    """The bot over HTTP, connected to the local Slack; gives its URL. Ends once nothing is left to
    send: a home tab that came after the reset would be the next test's."""
    app = build_app(context, settings)
    with app.answering.later, shared_server.serving(make_asgi(app)) as url:
        slack.connect(f"{url}/slack/events")
        yield url


@pytest.fixture
def bot(
    shared_server: SharedServer, context: Context, slack: LocalSlack, settings: Settings
) -> Iterator[Bot]:
    store, queue = context.store, context.queue
    assert isinstance(store, InMemoryReleaseStore) and isinstance(queue, InMemoryWorkQueue)
    for user in ("U0DEV1", "U0MANAGER", "U0ADMIN"):  # they were here today
        seen = json.dumps({"at": store.now(), "kind": PersonKind.MEMBER})
        store.put(f"{LAST_KIND} {user}", seen, ttl_ms=3_600_000)
    with serving(shared_server, context, settings, slack) as url:
        yield Bot(context, store, queue, url)
