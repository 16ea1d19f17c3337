"""The Slack manifest is made from the command table, and fits Slack's limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from bot.commands.table import BY_DEFAULT, BY_NAME
from bot.slack.manifest import drift, main, make_manifest
from sandbox.slack.manifest import read_manifest

LIMITS = json.loads(
    (Path(__file__).parent / "manifest_limits.schema.json").read_text(encoding="utf-8")
)
"""From Slack's app manifest reference."""


def test_by_default_six_names_are_registered() -> None:
    manifest = make_manifest(BY_DEFAULT)
    names = [command["command"] for command in manifest["features"]["slash_commands"]]
    assert names == ["/deploy", "/scale", "/rollout", "/pods", "/release", "/pilothouse"]


@pytest.mark.parametrize("socket_mode", [False, True])
@pytest.mark.parametrize("prefix", ["", "ph-"])
def test_all_names_fit_slacks_limits_and_slack_takes_the_manifest(
    prefix: str, socket_mode: bool
) -> None:
    manifest = make_manifest(BY_NAME, prefix=prefix, socket_mode=socket_mode)
    Draft202012Validator(LIMITS).validate(manifest)
    commands = manifest["features"]["slash_commands"]
    assert len(commands) == len(BY_NAME) + 1
    assert set(read_manifest(manifest).commands) == {command["command"] for command in commands}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("display_information", "name"), "x" * 36),
        (("features", "slash_commands", 0, "command"), "/" + "x" * 32),
        (("features", "slash_commands", 0, "command"), "deploy"),
        (("features", "slash_commands", 0, "usage_hint"), "x" * 1_001),
        (("settings", "interactivity", "request_url"), "http://pilothouse.example.com"),
        (("settings", "typo"), True),
    ],
)
def test_the_schema_of_the_limits_refuses_what_slack_would_refuse(
    path: tuple[str | int, ...], value: object
) -> None:
    manifest = make_manifest(BY_NAME)
    place: Any = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not Draft202012Validator(LIMITS).is_valid(manifest)


def test_socket_mode_needs_no_address() -> None:
    text = yaml.safe_dump(make_manifest(BY_NAME, socket_mode=True))
    assert "http" not in text


def test_drift_names_missing_and_extra_entries() -> None:
    wanted = make_manifest(BY_NAME)
    installed = make_manifest(("deploy",))
    installed["features"]["slash_commands"].append({"command": "/old", "description": "x"})
    installed["oauth_config"]["scopes"]["bot"].remove("chat:write")
    lines = drift(installed, wanted)
    assert "the command /scale is not registered" in lines
    assert "the command /old is registered but unknown" in lines
    assert "the scope chat:write is missing" in lines
    assert drift(wanted, wanted) == ()


def test_a_printed_manifest_passes_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--commands", "all", "--prefix", "ph-"]) == 0
    file = tmp_path / "manifest.yaml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["--commands", "all", "--prefix", "ph-", "--check", str(file)]) == 0
    assert main(["--check", str(file)]) == 1
    assert main(["--check", str(tmp_path / "none")]) == 2
    assert "the command /deploy is not registered" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--commands", "deploi"], ["--prefix", "Ph "], ["--prefix", "x" * 30]]
)
def test_a_wrong_name_or_prefix_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("url", ["http://bot.example.com", "bot.example.com", "https://a?b=c"])
def test_an_address_that_slack_cannot_call_is_refused(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pilothouse manifest: `{url}`")


@pytest.mark.parametrize("end", ["", "/", "/slack/events", "/slack/events/"])
def test_the_path_of_the_address_may_be_given(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", f"https://bot.example.com{end}"]) == 0
    settings = yaml.safe_load(capsys.readouterr().out)["settings"]
    assert settings["interactivity"]["request_url"] == "https://bot.example.com/slack/events"
