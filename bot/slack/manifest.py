"""`pilothouse manifest`: prints the Slack app manifest, generated from the command table.
`--check FILE` compares an installed manifest with it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bot.commands.installed import read_names
from bot.commands.table import BY_NAME, UMBRELLA, CommandSpec

MAX_USAGE_HINT = 1_000
SCOPES = (
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:write",
    "usergroups:read",
    "users:read",
)
EVENTS = ("app_home_opened", "app_mention", "message.im")
PATH = "/slack/events"
PLACEHOLDER_URL = "https://pilothouse.example.com"


def checked_url(url: str) -> str:
    """The address at which Slack reaches the bot, without the path that the bot answers at. Raises
    ValueError with one line."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"`{url}` is not an address such as {PLACEHOLDER_URL}: Slack calls https")
    if parts.query or parts.fragment or parts.username:
        raise ValueError(f"`{url}`: give the address alone, without a user, a query or a fragment")
    return url.rstrip("/").removesuffix(PATH).rstrip("/")


def make_manifest(
    names: Iterable[str], *, prefix: str = "", url: str = PLACEHOLDER_URL, socket_mode: bool = False
) -> dict[str, Any]:
    """``names``: commands of the table to register beside `/pilothouse`."""
    address = f"{url.rstrip('/')}{PATH}"
    where: dict[str, Any] = {} if socket_mode else {"url": address}
    commands = [_command(BY_NAME[name], prefix, where) for name in BY_NAME if name in set(names)]
    commands.append(
        {
            "command": f"/{prefix}{UMBRELLA}",
            "description": f"Every command of Pilothouse; start with /{prefix}{UMBRELLA} help",
            "usage_hint": "help | COMMAND …",
            "should_escape": True,
            **where,
        }
    )
    request: dict[str, Any] = {} if socket_mode else {"request_url": address}
    return {
        "display_information": {
            "name": "Pilothouse",
            "description": "Release software on Kubernetes from Slack",
            "background_color": "#1d3557",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Pilothouse", "always_online": True},
            "slash_commands": commands,
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**request, "bot_events": list(EVENTS)},
            "interactivity": {
                "is_enabled": True,
                **request,
                **({} if socket_mode else {"message_menu_options_url": address}),
            },
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": False,
        },
    }


def _command(spec: CommandSpec, prefix: str, where: Mapping[str, Any]) -> dict[str, Any]:
    """``should_escape``: people and channels arrive as ids, which the parser resolves."""
    command = {
        "command": f"/{prefix}{spec.name}",
        "description": spec.summary,
        "should_escape": True,
        **where,
    }
    return {**command, "usage_hint": spec.usage[:MAX_USAGE_HINT]} if spec.usage else command


def drift(installed: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """What an installed manifest lacks or says differently, one line each. Extra scopes and events
    do no harm; extra commands do."""
    lines: list[str] = []
    here, there = _commands(installed), _commands(wanted)
    lines += [f"the command {name} is not registered" for name in there if name not in here]
    lines += [f"the command {name} is registered but unknown" for name in here if name not in there]
    for name in sorted(here.keys() & there.keys()):
        for key in ("description", "usage_hint", "should_escape"):
            if here[name].get(key) != there[name].get(key):
                lines.append(
                    f"{name}: {key} is {here[name].get(key)!r}, not {there[name].get(key)!r}"
                )
    for what, path in (
        ("scope", ("oauth_config", "scopes", "bot")),
        ("event", ("settings", "event_subscriptions", "bot_events")),
    ):
        lacking = set(_at(wanted, path) or ()) - set(_at(installed, path) or ())
        lines += [f"the {what} {name} is missing" for name in sorted(lacking)]
    if not _at(installed, ("settings", "interactivity", "is_enabled")):
        lines.append("interactivity is off: buttons and the form will not work")
    if not _at(installed, ("features", "app_home", "home_tab_enabled")):
        lines.append("the home tab is off")
    return tuple(lines)


def _commands(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        str(item.get("command")): item
        for item in _at(manifest, ("features", "slash_commands")) or ()
    }


def _at(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="pilothouse manifest",
        description="Print the Slack app manifest, generated from the command table.",
    )
    parser.add_argument(
        "--commands",
        default="default",
        metavar="all|default|none|NAMES",
        help="slash commands to register beside /pilothouse (default: %(default)s); give the bot"
        " and the workers the same as PILOTHOUSE_COMMANDS",
    )
    parser.add_argument(
        "--prefix",
        default="",
        help="put before each name, such as ph-, where a name is taken; give the bot and the"
        " workers the same as PILOTHOUSE_PREFIX",
    )
    parser.add_argument(
        "--url", default=PLACEHOLDER_URL, help="address at which Slack reaches the bot"
    )
    parser.add_argument(
        "--socket-mode", action="store_true", help="for Socket Mode: no address is needed"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of YAML")
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="compare an installed manifest (YAML or JSON) with this one and report differences",
    )
    chosen = parser.parse_args(arguments)
    try:
        names, url = read_names(chosen.commands, chosen.prefix), checked_url(chosen.url)
    except ValueError as error:
        print(f"pilothouse manifest: {error}", file=sys.stderr)
        return 2
    manifest = make_manifest(
        names.installed, prefix=names.prefix, url=url, socket_mode=chosen.socket_mode
    )
    if chosen.check is not None:
        return _check(chosen.check, manifest)
    if chosen.json:
        print(json.dumps(manifest, indent=2, ensure_ascii=False))
    else:
        print(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120), end="")
    return 0


def _check(file: Path, wanted: Mapping[str, Any]) -> int:
    try:
        installed = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        print(f"{file}: cannot be read: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    lines = drift(installed if isinstance(installed, Mapping) else {}, wanted)
    for line in lines:
        print(f"{file}: {line}", file=sys.stderr)
    if not lines:
        print(f"{file}: up to date")
    return 1 if lines else 0
