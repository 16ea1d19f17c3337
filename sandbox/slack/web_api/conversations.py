"""conversations.*."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.platform import Platform
from sandbox.slack.rate_limits import TIER_2, TIER_3, TIER_4
from sandbox.slack.web_api.methods import flag, method, number, page, required
from sandbox.slack.workspace import Conversation

Json = dict[str, Any]

READ = ("channels:read", "groups:read", "im:read")
HISTORY = ("channels:history", "groups:history", "im:history")


@method("conversations.info", *READ, rate=TIER_3)
def info(platform: Platform, arguments: Json) -> Json:
    return {"channel": platform.workspace.conversation_json(_existing(platform, arguments))}


@method("conversations.list", *READ, rate=TIER_2)
def list_conversations(platform: Platform, arguments: Json) -> Json:
    types = set(str(arguments.get("types") or "public_channel").split(","))
    found = []
    for conversation in platform.workspace.conversations.values():
        kind = (
            "im"
            if conversation.is_im
            else "private_channel"
            if conversation.is_private
            else "public_channel"
        )
        if kind not in types or (flag(arguments, "exclude_archived") and conversation.is_archived):
            continue
        if kind == "private_channel" and platform.workspace.bot.id not in conversation.members:
            continue
        found.append(platform.workspace.conversation_json(conversation))
    return page(found, arguments, "channels")


@method("users.conversations", *READ, rate=TIER_3)
def conversations_of(platform: Platform, arguments: Json) -> Json:
    """Of a person: channels that the person is in, private ones only where the bot is too."""
    person = platform.workspace.person(required(arguments, "user"))
    found = list_conversations(platform, {**arguments, "cursor": "", "limit": 1000})["channels"]
    members = platform.workspace.conversations
    return page(
        [one for one in found if person.id in members[one["id"]].members], arguments, "channels"
    )


@method("conversations.history", *HISTORY, rate=TIER_3)
def history(platform: Platform, arguments: Json) -> Json:
    """Newest first, thread replies left out, as in Slack."""
    conversation = _readable(platform, arguments)
    messages = [
        message
        for message in reversed(conversation.messages.values())
        if message.get("thread_ts", message["ts"]) == message["ts"]
        and _in_range(message["ts"], arguments)
    ]
    limit = number(arguments, "limit", 100, 999)
    paged = page(
        [_shown(message, arguments) for message in messages],
        {**arguments, "limit": limit},
        "messages",
    )
    return {**paged, "has_more": bool(paged["response_metadata"]["next_cursor"]), "pin_count": 0}


@method("conversations.replies", *HISTORY, rate=TIER_3)
def replies(platform: Platform, arguments: Json) -> Json:
    """The parent, then its replies, oldest first."""
    conversation = _readable(platform, arguments)
    root = conversation.messages.get(required(arguments, "ts"))
    if root is None:
        raise SlackError("thread_not_found")
    thread_ts = root.get("thread_ts", root["ts"])
    messages = [
        _shown(message, arguments)
        for message in conversation.messages.values()
        if message.get("thread_ts", message["ts"]) == thread_ts
        and (message["ts"] == thread_ts or _in_range(message["ts"], arguments))
    ]
    paged = page(messages, arguments, "messages", default=1000)
    return {**paged, "has_more": bool(paged["response_metadata"]["next_cursor"])}


@method("conversations.open", "im:write", rate=TIER_3)
def open_conversation(platform: Platform, arguments: Json) -> Json:
    if arguments.get("channel"):
        return {
            "channel": platform.workspace.conversation_json(
                platform.workspace.conversation(arguments["channel"])
            )
        }
    users = [user for user in str(arguments.get("users") or "").split(",") if user]
    if not users:
        raise SlackError("users_list_not_supplied")
    if len(users) > 1:
        raise SlackError("too_many_users", ["[ERROR] the local Slack has no group messages"])
    person = platform.workspace.person(users[0])
    if person.is_stranger or person.is_bot:
        raise SlackError("cannot_dm_bot" if person.is_bot else "user_not_visible")
    conversation = platform.workspace.direct_message(person.id)
    return {"channel": platform.workspace.conversation_json(conversation), "already_open": True}


@method("conversations.members", *READ, rate=TIER_4)
def members(platform: Platform, arguments: Json) -> Json:
    conversation = _existing(platform, arguments)
    ids = [{"id": member} for member in sorted(conversation.members)]
    paged = page(ids, arguments, "members")
    return {**paged, "members": [item["id"] for item in paged["members"]]}


@method("conversations.join", "channels:join", rate=TIER_3)
def join(platform: Platform, arguments: Json) -> Json:
    conversation = _existing(platform, arguments)
    if conversation.is_archived:
        raise SlackError("is_archived")
    if conversation.is_im or conversation.is_private:
        raise SlackError("method_not_supported_for_channel_type")
    was_here = platform.workspace.bot.id in conversation.members
    conversation.members.add(platform.workspace.bot.id)
    platform.stream.publish("workspace", platform.describe())
    return {
        "channel": platform.workspace.conversation_json(conversation),
        **({"warning": "already_in_channel"} if was_here else {}),
    }


def _existing(platform: Platform, arguments: Json) -> Conversation:
    return platform.workspace.conversation(required(arguments, "channel"))


def _readable(platform: Platform, arguments: Json) -> Conversation:
    conversation = _existing(platform, arguments)
    if platform.workspace.bot.id not in conversation.members:
        raise SlackError("not_in_channel")
    return conversation


def _in_range(ts: str, arguments: Json) -> bool:
    oldest = str(arguments.get("oldest") or "0")
    latest = str(arguments.get("latest") or "")
    inclusive = flag(arguments, "inclusive")
    value = float(ts)
    if value < float(oldest) or (value == float(oldest) and not inclusive):
        return False
    return not latest or value < float(latest) or (value == float(latest) and inclusive)


def _shown(message: Json, arguments: Json) -> Json:
    shown = copy.deepcopy(message)
    if not flag(arguments, "include_all_metadata"):
        shown.pop("metadata", None)
    return shown
