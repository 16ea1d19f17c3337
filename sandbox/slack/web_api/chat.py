"""chat.* and reactions.*."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.messages import check_content, check_metadata
from sandbox.slack.platform import Platform
from sandbox.slack.rate_limits import POSTING, SPECIAL, TIER_3, TIER_4
from sandbox.slack.web_api.methods import method, required
from sandbox.slack.workspace import Conversation

Json = dict[str, Any]


def writable(platform: Platform, arguments: Json) -> Conversation:
    conversation = platform.workspace.conversation(required(arguments, "channel"))
    if conversation.is_archived:
        raise SlackError("is_archived")
    if platform.workspace.bot.id not in conversation.members:
        is_open = not conversation.is_private and not conversation.is_im
        if not (is_open and "chat:write.public" in platform.scopes):
            raise SlackError("not_in_channel")
    return conversation


@method("chat.postMessage", "chat:write", rate=POSTING, limited_by_channel=True)
def post_message(platform: Platform, arguments: Json) -> Json:
    conversation = writable(platform, arguments)
    text, blocks = check_content(arguments)
    message: Json = {"text": text}
    if blocks:
        message["blocks"] = blocks
    metadata = check_metadata(arguments.get("metadata"))
    if metadata is not None:
        message["metadata"] = metadata
    stored = platform.messages.post_as_app(
        conversation, message, str(arguments.get("thread_ts") or "") or None
    )
    return {"channel": conversation.id, "ts": stored["ts"], "message": stored}


@method("chat.update", "chat:write", rate=TIER_3)
def update(platform: Platform, arguments: Json) -> Json:
    conversation = platform.workspace.conversation(required(arguments, "channel"))
    if conversation.is_archived:
        raise SlackError("is_archived")
    ts = required(arguments, "ts")
    if ts in conversation.ephemerals:
        raise SlackError("message_not_found")
    message = platform.workspace.message(conversation, ts)
    if message.get("bot_id") != platform.settings.bot_id:
        raise SlackError("cant_update_message")
    text, blocks = check_content(arguments)
    changes: Json = {"text": text}
    # As in Slack: text without blocks takes the old blocks away.
    changes["blocks"] = blocks or None
    metadata = check_metadata(arguments.get("metadata"))
    if metadata is not None:
        changes["metadata"] = metadata
    elif "metadata" in arguments:
        changes["metadata"] = None
    stored = platform.messages.edit(conversation, message, changes)
    return {"channel": conversation.id, "ts": ts, "text": text, "message": stored}


@method("chat.delete", "chat:write", rate=TIER_3)
def delete(platform: Platform, arguments: Json) -> Json:
    conversation = platform.workspace.conversation(required(arguments, "channel"))
    message = platform.workspace.message(conversation, required(arguments, "ts"))
    if message.get("bot_id") != platform.settings.bot_id:
        raise SlackError("cant_delete_message")
    platform.messages.delete(conversation, message)
    return {"channel": conversation.id, "ts": arguments["ts"]}


@method("chat.postEphemeral", "chat:write", rate=TIER_4)
def post_ephemeral(platform: Platform, arguments: Json) -> Json:
    conversation = writable(platform, arguments)
    user = platform.workspace.people.get(required(arguments, "user"))
    if user is None or user.id not in conversation.members:
        raise SlackError("user_not_in_channel")
    text, blocks = check_content(arguments)
    message: Json = {**platform.messages.app_author(), "text": text}
    if blocks:
        message["blocks"] = blocks
    thread_ts = str(arguments.get("thread_ts") or "") or None
    stored = platform.messages.post_ephemeral(conversation, user.id, message, thread_ts)
    return {"message_ts": stored["ts"]}


@method("chat.getPermalink", rate=SPECIAL)
def get_permalink(platform: Platform, arguments: Json) -> Json:
    conversation = platform.workspace.conversation(required(arguments, "channel"))
    message = platform.workspace.message(conversation, required(arguments, "message_ts"))
    link = f"{platform.base_url}/archives/{conversation.id}/p{message['ts'].replace('.', '')}"
    thread_ts = message.get("thread_ts")
    if thread_ts and thread_ts != message["ts"]:
        link += f"?thread_ts={thread_ts}&cid={conversation.id}"
    return {"channel": conversation.id, "permalink": link}


@method("reactions.add", "reactions:write", rate=TIER_3)
def add_reaction(platform: Platform, arguments: Json) -> Json:
    conversation = platform.workspace.conversation(required(arguments, "channel"))
    if conversation.is_archived:
        raise SlackError("is_archived")
    message = platform.workspace.message(conversation, required(arguments, "timestamp"))
    name = required(arguments, "name").strip(":")
    reactions = message.setdefault("reactions", [])
    reaction = next((item for item in reactions if item["name"] == name), None)
    bot = platform.workspace.bot.id
    if reaction is None:
        reactions.append({"name": name, "users": [bot], "count": 1})
    elif bot in reaction["users"]:
        raise SlackError("already_reacted")
    else:
        reaction["users"].append(bot)
        reaction["count"] += 1
    platform.messages.changed(conversation, message)
    return {}


@method("reactions.remove", "reactions:write", rate=TIER_3)
def remove_reaction(platform: Platform, arguments: Json) -> Json:
    conversation = platform.workspace.conversation(required(arguments, "channel"))
    message = platform.workspace.message(conversation, required(arguments, "timestamp"))
    name = required(arguments, "name").strip(":")
    bot = platform.workspace.bot.id
    reactions = message.get("reactions", [])
    reaction = next(
        (item for item in reactions if item["name"] == name and bot in item["users"]), None
    )
    if reaction is None:
        raise SlackError("no_reaction")
    reaction["users"].remove(bot)
    reaction["count"] -= 1
    message["reactions"] = [item for item in reactions if item["count"]]
    platform.messages.changed(conversation, message)
    return {}
