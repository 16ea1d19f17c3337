"""The API as an ASGI application: store, Slack and people in memory, tokens in real files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from httpx import ASGITransport, AsyncClient, Response
from starlette.types import ASGIApp

from bot.api.server import make_api
from bot.api.tokens import Tokens
from bot.operations.context import App, Catalog, Context
from bot.policy.callers import Caller
from bot.policy.permissions import Access, Grant, Role
from bot.releases.facts.rules import ApprovalRules, Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.request_metrics import RequestMetrics
from tests.builders import T0, a_target
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

CI = hashlib.sha256(b"a token of the tests").hexdigest()
READER = hashlib.sha256(b"another token of the tests").hexdigest()
ACCESS = Access(roles={Role.DEPLOYER: Grant(users=frozenset({"U0DEV1"}))})
ASKING = Rules(approvals=ApprovalRules(start=1))
RELEASE = {"app": "hello", "version": "2.0.0"}


@dataclass
class Client:
    """Each request in an event loop of its own; a response is there once it is whole."""

    asgi: ASGIApp

    def send(self, method: str, path: str, **options: Any) -> Response:
        async def sent() -> Response:
            transport = ASGITransport(self.asgi, raise_app_exceptions=False)
            async with AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path, **options)

        return anyio.run(sent)


@dataclass
class Door:
    """``now``: milliseconds, by which tokens expire."""

    client: Client
    context: Context
    folder: Path
    metrics: RequestMetrics
    now: int = T0

    @property
    def store(self) -> InMemoryReleaseStore:
        return cast(InMemoryReleaseStore, self.context.store)

    def post(
        self, body: Any = RELEASE, *, token: str = CI, key: str = "build-4711", **headers: str
    ) -> Response:
        known = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        sent = {**known, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if isinstance(body, bytes):
            kind = {"Content-Type": "application/json"}
            return self.client.send(
                "POST", "/api/v1/releases", content=body, headers={**kind, **sent}
            )
        return self.client.send("POST", "/api/v1/releases", json=body, headers=sent)

    def get(self, path: str, *, token: str = CI, **headers: str) -> Response:
        known = {"Authorization": f"Bearer {token}"}
        sent = {**known, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.send("GET", f"/api/v1/releases/{path}", headers=sent)

    def grant(self, **changes: Any) -> None:
        """Changes the caller `ci`."""
        caller = replace(self.context.catalog.callers["ci"], **changes)
        callers = {**self.context.catalog.callers, "ci": caller}
        self.context = replace(self.context, catalog=replace(self.context.catalog, callers=callers))

    def set_rules(self, rules: Rules) -> None:
        catalog = self.context.catalog
        apps = {name: replace(app, rules=rules) for name, app in catalog.apps.items()}
        self.context = replace(self.context, catalog=replace(catalog, apps=apps))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    unused = cast(Any, None)
    for name, token in (("ci", CI), ("reader", READER)):
        (tmp_path / name).write_text(f"{token}\n")
    store = InMemoryReleaseStore()
    apps = {
        name: App(a_target(app=name, deployment=name), Rules(), "C0RELEASES", Strategy.ROLLING)
        for name in ("hello", "auth")
    }
    callers = {
        "ci": Caller("ci", frozenset({"hello"}), may_start=True, file=str(tmp_path / "ci")),
        "reader": Caller("reader", frozenset({"hello"}), file=str(tmp_path / "reader")),
    }
    context = Context(
        store,
        store.queue,
        unused,
        RecordingMessenger(),
        InMemoryDirectory(),
        Catalog(apps, ("local",), ACCESS, callers=callers),
        SlackRendering(),
        unused,
    )
    metrics = RequestMetrics()
    made: list[Door] = []
    tokens = Tokens(lambda: made[0].context.catalog.callers, now=lambda: made[0].now)
    api = make_api(lambda: made[0].context, metrics, tokens)
    made.append(Door(Client(api.asgi), context, tmp_path, metrics))
    return made[0]
