"""The payloads Slack sends, field for field."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.platform import Platform
from sandbox.slack.view_input import element_state
from sandbox.slack.workspace import Conversation

Json = dict[str, Any]


def find_element(
    blocks: list[Json], action_id: str, block_id: str | None = None
) -> tuple[Json, Json]:
    for block in blocks:
        if block_id is not None and block.get("block_id") != block_id:
            continue
        elements = [*(block.get("elements") or []), block.get("accessory"), block.get("element")]
        for element in elements:
            if not isinstance(element, dict):
                continue
            if element.get("action_id") == action_id:
                return block, element
    raise SlackError("action_not_found", [f"[ERROR] nothing here has the action_id {action_id}"])


class Payloads:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def slash_command(
        self, user_id: str, conversation: Conversation, command: str, text: str
    ) -> Json:
        platform = self._platform
        person = platform.workspace.person(user_id)
        return {
            "token": platform.settings.verification_token,
            "team_id": person.team_id,
            "team_domain": platform.settings.team_domain,
            "channel_id": conversation.id,
            "channel_name": conversation.name,
            "user_id": person.id,
            "user_name": person.name,
            "command": command,
            "text": text,
            "api_app_id": platform.settings.app_id,
            "is_enterprise_install": "false",
            "response_url": (
                platform.base_url + platform.grants.response_url(user_id, conversation.id)
            ),
            "trigger_id": platform.grants.trigger(user_id),
        }

    def message_action(
        self,
        user_id: str,
        conversation: Conversation,
        message: Json,
        block: Json,
        element: Json,
        value: Any,
    ) -> Json:
        platform = self._platform
        container: Json = {
            "type": "message",
            "message_ts": message["ts"],
            "channel_id": conversation.id,
            "is_ephemeral": bool(message.get("is_ephemeral")),
        }
        thread_ts = message.get("thread_ts")
        if thread_ts:
            container["thread_ts"] = thread_ts
        path = platform.grants.response_url(user_id, conversation.id, message["ts"], thread_ts)
        return {
            "type": "block_actions",
            **self._who(user_id),
            "container": container,
            "trigger_id": platform.grants.trigger(user_id),
            "channel": {"id": conversation.id, "name": conversation.name},
            "message": copy.deepcopy(message),
            "state": {"values": {}},
            "response_url": platform.base_url + path,
            "actions": [self._action(block, element, value)],
        }

    def view_action(self, user_id: str, view: Json, block: Json, element: Json, value: Any) -> Json:
        return {
            "type": "block_actions",
            **self._who(user_id),
            "container": {"type": "view", "view_id": view["id"]},
            "trigger_id": self._platform.grants.trigger(user_id, view["id"]),
            "view": copy.deepcopy(view),
            "actions": [self._action(block, element, value)],
        }

    def view_submission(self, user_id: str, view: Json) -> Json:
        return {
            "type": "view_submission",
            **self._who(user_id),
            "trigger_id": self._platform.grants.trigger(user_id, view["id"]),
            "view": copy.deepcopy(view),
            "response_urls": [],
        }

    def view_closed(self, user_id: str, view: Json, *, is_cleared: bool) -> Json:
        return {
            "type": "view_closed",
            **self._who(user_id),
            "view": copy.deepcopy(view),
            "is_cleared": is_cleared,
        }

    def suggestion(
        self,
        user_id: str,
        block: Json,
        element: Json,
        query: str,
        *,
        view: Json | None = None,
        place: tuple[Conversation, Json] | None = None,
    ) -> Json:
        payload: Json = {
            "type": "block_suggestion",
            **self._who(user_id),
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "value": query,
        }
        if view is not None:
            return {
                **payload,
                "container": {"type": "view", "view_id": view["id"]},
                "view": copy.deepcopy(view),
            }
        assert place is not None
        conversation, message = place
        return {
            **payload,
            "container": {
                "type": "message",
                "message_ts": message["ts"],
                "channel_id": conversation.id,
            },
            "channel": {"id": conversation.id, "name": conversation.name},
            "message": copy.deepcopy(message),
        }

    def event(self, event: Json) -> Json:
        platform = self._platform
        return {
            "token": platform.settings.verification_token,
            "team_id": platform.settings.team_id,
            "api_app_id": platform.settings.app_id,
            "event": {"event_ts": platform.workspace.next_ts(), **event},
            "type": "event_callback",
            "event_id": platform.workspace.next_id("Ev"),
            "event_time": int(platform.workspace.now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": platform.settings.team_id,
                    "user_id": platform.settings.bot_user_id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
        }

    def _who(self, user_id: str) -> Json:
        platform = self._platform
        person = platform.workspace.person(user_id)
        return {
            "user": {
                "id": person.id,
                "username": person.name,
                "name": person.name,
                "team_id": person.team_id,
            },
            "api_app_id": platform.settings.app_id,
            "token": platform.settings.verification_token,
            "team": {"id": platform.settings.team_id, "domain": platform.settings.team_domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _action(self, block: Json, element: Json, value: Any) -> Json:
        action: Json = {
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "type": element["type"],
            "action_ts": self._platform.workspace.next_ts(),
        }
        if element["type"] in ("button", "icon_button"):
            action |= {
                key: element[key] for key in ("text", "value", "style", "url") if key in element
            }
            if value is not None:
                action["value"] = value
            return action
        return {**action, **element_state(element, value)}
