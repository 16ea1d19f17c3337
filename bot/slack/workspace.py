"""What Slack knows about the app's token and the ids that a catalog names: for
`pilothouse doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient

from bot.ports import ChannelUnavailable
from bot.slack.client import make_client
from bot.slack.errors import translated
from bot.slack.manifest import SCOPES


@dataclass(frozen=True)
class Named:
    """One id of the catalog. ``name`` is "" when Slack does not know it, ``problem`` "" when it is
    usable."""

    id: str
    name: str
    problem: str = ""


@dataclass(frozen=True)
class Workspace:
    team: str
    bot: str
    missing_scopes: tuple[str, ...]
    named: tuple[Named, ...]


def inspect_workspace(
    token: str, api_url: str, ids: Iterable[str], *, ca_file: str = ""
) -> Workspace:
    """The first letter of an id shows its kind. Raises SlackUnavailable, RateLimited."""
    client = make_client(token, api_url, ca_file=ca_file)
    with translated("auth.test"):
        response = client.auth_test()
    granted = _granted(
        {str(name).lower(): value for name, value in response.headers.items()}.get("x-oauth-scopes")
    )
    # Slack lists scopes only for an app's token; for others none is reported missing.
    missing = tuple(scope for scope in SCOPES if scope not in granted) if granted else ()
    wanted = tuple(dict.fromkeys(ids))
    groups = _groups(client) if any(one.startswith("S") for one in wanted) else {}
    named = tuple(_named(client, one, groups) for one in wanted)
    return Workspace(str(response.get("team", "")), str(response.get("user", "")), missing, named)


def _granted(header: object) -> frozenset[str]:
    text = header[0] if isinstance(header, list) else header
    return frozenset(part.strip() for part in str(text or "").split(",") if part.strip())


def _groups(client: WebClient) -> dict[str, Named]:
    with translated("usergroups.list"):
        found = client.usergroups_list(include_users=True, include_disabled=False)
    return {str(group["id"]): _group(group) for group in found.get("usergroups") or ()}


def _group(group: Mapping[str, Any]) -> Named:
    name = f"@{group.get('handle') or group.get('name') or group['id']}"
    problem = (
        "" if group.get("users") else "nobody is in this user group: add people, or name another"
    )
    return Named(str(group["id"]), name, problem)


def _named(client: WebClient, one: str, groups: Mapping[str, Named]) -> Named:
    try:
        if one.startswith("S"):
            return groups.get(one) or Named(one, "", "no such user group, or it is disabled")
        if one.startswith(("U", "W")):
            return _person(client, one)
        return _channel(client, one)
    except ChannelUnavailable as unknown:
        return Named(one, "", f"Slack does not know it ({unknown})")


def _person(client: WebClient, one: str) -> Named:
    with translated("users.info"):
        found = client.users_info(user=one).get("user") or {}
    profile = found.get("profile") or {}
    name = str(profile.get("display_name") or found.get("real_name") or found.get("name") or one)
    return Named(one, name, "this person's account is deactivated" if found.get("deleted") else "")


def _channel(client: WebClient, one: str) -> Named:
    with translated("conversations.info"):
        found = client.conversations_info(channel=one).get("channel") or {}
    name = f"#{found.get('name') or one}"
    if found.get("is_archived"):
        return Named(one, name, "the channel is archived: nothing can be posted there")
    if not found.get("is_member") and not found.get("is_im"):
        return Named(one, name, "the bot is not in the channel: /invite it there")
    return Named(one, name)
