"""Hints, help and cards name the slash commands that this workspace registered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.configuration import Unconfigured, load_configuration
from bot.operations.context import Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.replies import HelpReply, OpenFormReply, Refusal
from bot.operations.requests import Invocation
from bot.releases.facts.people import Person
from bot.wiring import make_context
from tests.builders import a_release
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore, InMemoryWorkQueue

CATALOG = """
clusters: {local: {kubeconfig: kubeconfig}}
defaults: {channel: C0RELEASES}
apps: {hello: {namespace: default}}
access: {channels: [C0RELEASES], roles: {deployer: {everyone: true}}}
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    (tmp_path / "kubeconfig").write_text("{}")
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    monkeypatch.setenv("PILOTHOUSE_CONFIG", str(tmp_path / "catalog.yaml"))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-test")
    return monkeypatch


@pytest.fixture
def context(environment: pytest.MonkeyPatch) -> Context:
    environment.setenv("PILOTHOUSE_PREFIX", "ph-")
    environment.setenv("PILOTHOUSE_COMMANDS", "deploy,pods")
    return make_context(*load_configuration("worker"))


def test_help_names_the_commands_registered_here(context: Context) -> None:
    text = context.render.reply(HelpReply(None), now=0).text
    assert "/ph-deploy APP VERSION" in text
    assert "/ph-pilothouse scale APP N" in text


def test_an_example_names_a_command_registered_here(context: Context) -> None:
    assert "/ph-deploy hello 2.0.0" in context.render.reply(OpenFormReply("hello"), now=0).text


def test_a_card_names_the_command_as_it_is_typed_here(context: Context) -> None:
    release = a_release(command="deploy hello 2.0.0")
    assert "/ph-deploy hello 2.0.0" in str(context.render.card(release, now=0).blocks)


def test_a_hint_names_a_command_registered_here(context: Context) -> None:
    store = InMemoryReleaseStore(clock=lambda: 0)
    context = replace(
        context, store=store, queue=InMemoryWorkQueue(), directory=InMemoryDirectory()
    )
    invocation = Invocation(
        Person("T1", "U0DEV1"), "C0RELEASES", "scale hello", "/ph-pilothouse", "1"
    )
    reply = handle_command(context, invocation)
    assert isinstance(reply, Refusal)
    assert reply.hint == "/ph-pilothouse scale hello 3"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PILOTHOUSE_COMMANDS", "deploi"), ("PILOTHOUSE_PREFIX", "PH ")],
)
def test_a_wrong_name_or_prefix_stops_the_start_with_one_line(
    environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(Unconfigured) as caught:
        load_configuration("worker")
    assert str(caught.value).startswith("PILOTHOUSE_COMMANDS, PILOTHOUSE_PREFIX: ")
    assert "\n" not in str(caught.value)
