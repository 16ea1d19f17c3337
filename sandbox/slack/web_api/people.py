"""auth.*, users.*, usergroups.*, bots.*, team.* and apps.*."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.platform import Platform
from sandbox.slack.rate_limits import SPECIAL, TIER_1, TIER_2, TIER_3, TIER_4
from sandbox.slack.web_api.methods import flag, method, page, required

Json = dict[str, Any]


@method("auth.test", rate=SPECIAL)
def auth_test(platform: Platform, _arguments: Json) -> Json:
    settings = platform.settings
    return {
        "url": f"{platform.base_url}/",
        "team": settings.team_name,
        "user": platform.workspace.bot.name,
        "team_id": settings.team_id,
        "user_id": settings.bot_user_id,
        "bot_id": settings.bot_id,
        "is_enterprise_install": False,
    }


@method("api.test", rate=SPECIAL)
def api_test(_platform: Platform, arguments: Json) -> Json:
    if arguments.get("error"):
        raise SlackError(str(arguments["error"]))
    return {"args": arguments}


@method("users.info", "users:read", rate=TIER_4)
def user_info(platform: Platform, arguments: Json) -> Json:
    return {"user": _person(platform, platform.workspace.person(required(arguments, "user")).id)}


@method("users.list", "users:read", rate=TIER_2)
def list_users(platform: Platform, arguments: Json) -> Json:
    people = [
        _person(platform, person.id)
        for person in platform.workspace.people.values()
        if not person.is_stranger
    ]
    return {**page(people, arguments, "members"), "cache_ts": int(platform.workspace.now())}


@method("users.lookupByEmail", "users:read.email", rate=TIER_3)
def lookup_by_email(platform: Platform, arguments: Json) -> Json:
    email = required(arguments, "email")
    for person in platform.workspace.people.values():
        if person.email == email:
            return {"user": _person(platform, person.id)}
    raise SlackError("users_not_found")


@method("usergroups.list", "usergroups:read", rate=TIER_2)
def list_groups(platform: Platform, arguments: Json) -> Json:
    groups = [platform.workspace.group_json(group) for group in platform.workspace.groups.values()]
    if not flag(arguments, "include_users"):
        groups = [
            {key: value for key, value in group.items() if key != "users"} for group in groups
        ]
    return {"usergroups": groups}


@method("usergroups.users.list", "usergroups:read", rate=TIER_2)
def list_group_users(platform: Platform, arguments: Json) -> Json:
    group = platform.workspace.groups.get(required(arguments, "usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.members)}


@method("bots.info", "users:read", rate=TIER_3)
def bot_info(platform: Platform, arguments: Json) -> Json:
    settings = platform.settings
    if arguments.get("bot") not in (None, "", settings.bot_id):
        raise SlackError("bot_not_found")
    return {
        "bot": {
            "id": settings.bot_id,
            "deleted": False,
            "name": settings.app_name,
            "updated": 0,
            "app_id": settings.app_id,
            "user_id": settings.bot_user_id,
        }
    }


@method("team.info", "team:read", rate=TIER_3)
def team_info(platform: Platform, _arguments: Json) -> Json:
    settings = platform.settings
    return {
        "team": {
            "id": settings.team_id,
            "name": settings.team_name,
            "domain": settings.team_domain,
            "email_domain": "",
        }
    }


@method("apps.connections.open", rate=TIER_1, token="app")
def open_connection(platform: Platform, _arguments: Json) -> Json:
    address = platform.base_url.replace("http://", "ws://", 1)
    return {
        "url": (
            f"{address}/link/?ticket={platform.app.open_ticket()}&app_id={platform.settings.app_id}"
        )
    }


def _person(platform: Platform, user_id: str) -> Json:
    shown = platform.workspace.person_json(platform.workspace.people[user_id])
    if "users:read.email" not in platform.scopes:
        shown["profile"].pop("email")
    return shown
