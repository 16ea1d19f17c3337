"""Posting, editing and deleting messages, with updates to the pages."""

from __future__ import annotations

import copy
import secrets
from typing import Any

from sandbox.slack.block_rules import MAX_TEXT, check_message_blocks
from sandbox.slack.errors import SlackError
from sandbox.slack.stream import Stream
from sandbox.slack.workspace import Conversation, Workspace

Json = dict[str, Any]


def with_ids(blocks: list[Json]) -> list[Json]:
    """Adds ids to blocks and interactive elements that the app left unnamed, as Slack does."""
    named = copy.deepcopy(blocks)
    for block in named:
        block.setdefault("block_id", secrets.token_urlsafe(4)[:5])
        elements = [*block.get("elements", []), block.get("accessory"), block.get("element")]
        for element in (
            elements if block["type"] in ("actions", "context_actions", "section", "input") else []
        ):
            if isinstance(element, dict) and element.get("type") != "image":
                element.setdefault("action_id", secrets.token_urlsafe(4)[:5])
    return named


def check_content(arguments: Json, *, needs_text: bool = True) -> tuple[str, list[Json]]:
    """Returns the text and blocks of a message as stored, or raises the error Slack would
    return."""
    text = arguments.get("text") or ""
    blocks = arguments.get("blocks")
    if not isinstance(text, str):
        raise SlackError(
            "invalid_arguments", ["[ERROR] must provide a string [json-pointer:/text]"]
        )
    if len(text) > MAX_TEXT:
        raise SlackError("msg_too_long")
    if blocks is None or blocks == "":
        blocks = []
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    findings = check_message_blocks(blocks)
    if findings:
        code = "invalid_blocks"
        if any(problem.startswith("only_one_table_allowed") for problem in findings.problems):
            code = "invalid_attachments"
        raise SlackError(code, findings.messages, errors=findings.problems)
    if needs_text and not text and not blocks and not arguments.get("attachments"):
        raise SlackError("no_text")
    return text, with_ids(blocks)


def check_metadata(metadata: Any) -> Json | None:
    if metadata is None or metadata == "" or metadata == {}:
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload", {}), dict):
        raise SlackError("invalid_metadata_format")
    return {
        "event_type": metadata["event_type"],
        "event_payload": metadata.get("event_payload", {}),
    }


class Messages:
    def __init__(self, workspace: Workspace, stream: Stream) -> None:
        self._workspace = workspace
        self._stream = stream

    def post(self, conversation: Conversation, message: Json, thread_ts: str | None = None) -> Json:
        """`message` names its author; this sets `ts`. The thread's parent counts its replies."""
        stored: Json = {
            "type": "message",
            "team": self._workspace.settings.team_id,
            **message,
            "ts": self._workspace.next_ts(),
        }
        if thread_ts:
            parent = conversation.messages.get(thread_ts)
            if parent is None:
                raise SlackError("thread_not_found")
            root = str(parent.get("thread_ts", parent["ts"]))
            stored["thread_ts"] = root
            self._count_reply(conversation, conversation.messages[root], stored)
        conversation.messages[stored["ts"]] = stored
        self._publish("message", conversation, stored)
        return stored

    def post_as_app(
        self, conversation: Conversation, message: Json, thread_ts: str | None = None
    ) -> Json:
        return self.post(conversation, {**self.app_author(), **message}, thread_ts)

    def app_author(self) -> Json:
        settings = self._workspace.settings
        return {
            "user": settings.bot_user_id,
            "bot_id": settings.bot_id,
            "app_id": settings.app_id,
            "bot_profile": {
                "id": settings.bot_id,
                "app_id": settings.app_id,
                "name": self._workspace.bot.real_name,
                "team_id": settings.team_id,
            },
        }

    def post_ephemeral(
        self, conversation: Conversation, user_id: str, message: Json, thread_ts: str | None = None
    ) -> Json:
        stored: Json = {
            "type": "message",
            "subtype": "bot_message",
            **message,
            "ts": self._workspace.next_ts(),
            "is_ephemeral": True,
            "ephemeral_to": user_id,
        }
        if thread_ts:
            stored["thread_ts"] = thread_ts
        conversation.ephemerals[stored["ts"]] = stored
        self._publish("message", conversation, stored)
        return stored

    def edit(self, conversation: Conversation, message: Json, changes: Json) -> Json:
        message.update(changes)
        for key in [key for key, value in message.items() if value is None]:
            del message[key]
        message["edited"] = {"user": message.get("user"), "ts": self._workspace.next_ts()}
        self._publish("message_changed", conversation, message)
        return message

    def delete(self, conversation: Conversation, message: Json) -> None:
        """A parent with replies leaves a tombstone, as in Slack."""
        ts = message["ts"]
        if ts in conversation.ephemerals:
            del conversation.ephemerals[ts]
        elif message.get("reply_count"):
            keep = {"type", "ts", "thread_ts", "reply_count", "reply_users", "latest_reply"}
            for key in [key for key in message if key not in keep]:
                del message[key]
            message.update(
                {
                    "subtype": "tombstone",
                    "text": "This message was deleted.",
                    "user": "USLACKBOT",
                    "hidden": True,
                }
            )
            self._publish("message_changed", conversation, message)
            return
        else:
            del conversation.messages[ts]
            self._discount_reply(conversation, message)
        self._publish("message_deleted", conversation, message)

    def changed(self, conversation: Conversation, message: Json) -> None:
        self._publish("message_changed", conversation, message)

    def visible_to(self, conversation: Conversation, user_id: str | None) -> list[Json]:
        """The messages of a conversation, with ephemeral ones for this person, oldest first."""
        own = [
            message
            for message in conversation.ephemerals.values()
            if message["ephemeral_to"] == user_id
        ]
        return sorted([*conversation.messages.values(), *own], key=lambda message: message["ts"])

    def _count_reply(self, conversation: Conversation, parent: Json, reply: Json) -> None:
        parent["thread_ts"] = parent["ts"]
        parent["reply_count"] = parent.get("reply_count", 0) + 1
        users = parent.setdefault("reply_users", [])
        if reply["user"] not in users:
            users.append(reply["user"])
        parent["reply_users_count"] = len(users)
        parent["latest_reply"] = reply["ts"]
        self._publish("message_changed", conversation, parent)

    def _discount_reply(self, conversation: Conversation, reply: Json) -> None:
        parent = conversation.messages.get(reply.get("thread_ts", ""))
        if parent is None or parent is reply:
            return
        parent["reply_count"] = max(0, parent.get("reply_count", 1) - 1)
        self._publish("message_changed", conversation, parent)

    def _publish(self, kind: str, conversation: Conversation, message: Json) -> None:
        content = {"channel": conversation.id, "message": message}
        only_for = message.get("ephemeral_to")
        if conversation.is_im:
            only_for = next(iter(conversation.members - {self._workspace.bot.id}), None)
        self._stream.publish(kind, content, only_for=only_for)
