"""The codec of queries: what the worker reads is what was asked, and garbage is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.commands.deploy_form import DeployForm, KnownVersion
from bot.commands.model import (
    ApplyCommand,
    AppsCommand,
    DeployCommand,
    ExplainCommand,
    GetCommand,
    PodsCommand,
    ReleasesCommand,
    RolloutCommand,
    TrafficCommand,
)
from bot.query import (
    PreviewCommand,
    QueryCommand,
    ReplyTo,
    UnknownQuery,
    dump_form,
    dump_query,
    load_form,
    load_query,
)
from bot.releases.facts.target import Strategy
from tests.builders import a_query

FORM = DeployForm(
    ("auth", "hello"),
    "hello",
    (KnownVersion("2.0.0", "auth"),),
    "2.0.0",
    Strategy.CANARY,
    "20,50",
)
COMMANDS: tuple[QueryCommand, ...] = (
    DeployCommand("hello", "2.0.0", Strategy.CANARY, steps=(20, 50), hold_ms=5, dry_run=True),
    RolloutCommand("undo", "hello", to_revision=3, reason="error rate"),
    PodsCommand(),
    GetCommand("services", "hello", wide=True),
    ExplainCommand("pod.spec", recursive=True),
    ApplyCommand("hello"),
    TrafficCommand("hello"),
    ReleasesCommand(),
    AppsCommand(),
    PreviewCommand(FORM, "V1", "hash"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.kind)
def test_a_query_survives_its_json(command: QueryCommand) -> None:
    query = a_query(
        command,
        reply_to=ReplyTo("C1", "1.0", "https://hooks.invalid/1", in_channel=True),
        purpose="share",
        confirms={"Service default/hello": "digest"},
    )
    document = dump_query(query)
    assert load_query(document) == query
    assert load_query(json.dumps(document)) == query


def changed(**parts: Any) -> dict[str, Any]:
    return {**dump_query(a_query(GetCommand("pods"))), **parts}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "command: Field required"),
        ({"kind": "pods", "apps": ["hello"]}, "command: Field required"),
        ("not JSON", "Invalid JSON"),
        ({"command": object()}, "not JSON"),
        (changed(command={"kind": "help"}), "'help' found"),
        (changed(command={"kind": "get", "objects": "secrets"}), "command.get.objects"),
        (changed(apps="hello"), "apps: "),
        (changed(purpose="delete"), "purpose: "),
        (changed(confirmed=True), "confirmed: Unexpected"),
    ],
)
def test_garbage_is_refused_with_its_place(document: Any, reason: str) -> None:
    with pytest.raises(UnknownQuery, match=reason):
        load_query(document)


def test_a_form_survives_its_json() -> None:
    assert load_form(json.loads(json.dumps(dump_form(FORM)))) == FORM
