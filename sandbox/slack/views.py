"""Modals and home tabs: who has which one open, and the values of its inputs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sandbox.slack.block_rules import check_view
from sandbox.slack.errors import SlackError
from sandbox.slack.messages import with_ids
from sandbox.slack.stream import Stream
from sandbox.slack.workspace import Workspace

Json = dict[str, Any]

MAX_STACK = 3


class Views:
    def __init__(self, workspace: Workspace, stream: Stream) -> None:
        self._workspace = workspace
        self._stream = stream
        self._stacks: dict[str, list[Json]] = {}
        self._homes: dict[str, Json] = {}

    def stack(self, user_id: str) -> list[Json]:
        return self._stacks.get(user_id, [])

    def home(self, user_id: str) -> Json | None:
        return self._homes.get(user_id)

    def find(self, view_id: str) -> tuple[str, Json]:
        """The person who has the view open, and the view."""
        for user_id, stack in self._stacks.items():
            for view in stack:
                if view["id"] == view_id or (
                    view["external_id"] and view["external_id"] == view_id
                ):
                    return user_id, view
        for user_id, view in self._homes.items():
            if view["id"] == view_id:
                return user_id, view
        raise SlackError("not_found")

    def open(self, user_id: str, view: Json) -> Json:
        made = self._make(view, "modal")
        made["root_view_id"] = made["id"]
        self._stacks[user_id] = [made]
        self._publish(user_id)
        return made

    def push(self, user_id: str, view: Json) -> Json:
        stack = self._stacks.get(user_id, [])
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= MAX_STACK:
            raise SlackError("push_limit_reached")
        made = self._make(view, "modal")
        made |= {"root_view_id": stack[0]["id"], "previous_view_id": stack[-1]["id"]}
        stack.append(made)
        self._publish(user_id)
        return made

    def update(self, view_id: str, view: Json, seen_hash: str | None = None) -> Json:
        """Typed input stays where block_id and action_id stay, as in Slack."""
        user_id, old = self.find(view_id)
        if seen_hash and seen_hash != old["hash"]:
            raise SlackError("hash_conflict")
        made = self._make(view, old["type"])
        made |= {key: old[key] for key in ("id", "root_view_id", "previous_view_id")}
        kept = old["state"]["values"]
        for block_id, actions in made["state"]["values"].items():
            for action_id in actions:
                if action_id in kept.get(block_id, {}):
                    actions[action_id] = kept[block_id][action_id]
        for stack in (self._stacks.get(user_id, []),):
            for index, other in enumerate(stack):
                if other["id"] == made["id"]:
                    stack[index] = made
        if user_id in self._homes and self._homes[user_id]["id"] == made["id"]:
            self._homes[user_id] = made
        self._publish(user_id)
        return made

    def publish_home(self, user_id: str, view: Json, seen_hash: str | None = None) -> Json:
        old = self._homes.get(user_id)
        if old and seen_hash and seen_hash != old["hash"]:
            raise SlackError("hash_conflict")
        made = self._make(view, "home")
        if old:
            made["id"] = old["id"]
        made["root_view_id"] = made["id"]
        self._homes[user_id] = made
        self._stream.publish("home", {"user": user_id, "view": made}, only_for=user_id)
        return made

    def close(self, user_id: str, *, all_of_them: bool) -> list[Json]:
        """Returns the closed views."""
        stack = self._stacks.get(user_id, [])
        closed = stack[:] if all_of_them else stack[-1:]
        del stack[len(stack) - len(closed) :]
        self._publish(user_id)
        return closed

    def clear(self) -> None:
        self._stacks.clear()
        self._homes.clear()

    def _publish(self, user_id: str) -> None:
        self._stream.publish(
            "views", {"user": user_id, "views": self.stack(user_id)}, only_for=user_id
        )

    def _make(self, view: Any, kind: str) -> Json:
        findings = check_view(view)
        if not findings and view["type"] != kind:
            findings.add(f"must be of type {kind}", "/view/type")
        if findings:
            raise SlackError("invalid_arguments", findings.messages, errors=findings.problems)
        settings = self._workspace.settings
        content: Json = {
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "close": None,
            "submit": None,
            "title": {"type": "plain_text", "text": "", "emoji": True},
            **view,
            "blocks": with_ids(view["blocks"]),
        }
        view_id = self._workspace.next_id("V")
        digest = hashlib.sha256(
            f"{view_id}{json.dumps(content, sort_keys=True)}".encode()
        ).hexdigest()[:8]
        return {
            "id": view_id,
            "team_id": settings.team_id,
            "app_id": settings.app_id,
            "app_installed_team_id": settings.team_id,
            "bot_id": settings.bot_id,
            "hash": f"{int(self._workspace.now())}.{digest}",
            "previous_view_id": None,
            "root_view_id": None,
            **content,
            "state": {"values": initial_values(content["blocks"])},
        }


def initial_values(blocks: list[Json]) -> Json:
    """`view.state.values` of an untouched view: every input, with its initial value."""
    values: Json = {}
    for block in blocks:
        elements = [block.get("element"), block.get("accessory"), *(block.get("elements") or [])]
        for element in elements if block["type"] in ("input", "section", "actions") else []:
            if isinstance(element, dict) and element.get("type") not in (
                "button",
                "overflow",
                "image",
                None,
            ):
                values.setdefault(block["block_id"], {})[element["action_id"]] = _initial(element)
    return values


def value_key(kind: str) -> str:
    """The payload key that holds an element's value."""
    match kind:
        case "static_select" | "external_select" | "radio_buttons" | "overflow":
            return "selected_option"
        case "multi_static_select" | "multi_external_select" | "checkboxes":
            return "selected_options"
        case "datepicker":
            return "selected_date"
        case "timepicker":
            return "selected_time"
        case "datetimepicker":
            return "selected_date_time"
        case _ if kind.startswith("multi_"):
            return f"selected_{kind.removeprefix('multi_').removesuffix('_select')}"
        case _ if kind.endswith("s_select"):
            return f"selected_{kind.removesuffix('s_select')}"
        case _:
            return "value"


_INITIAL_KEYS = {
    "selected_option": "initial_option",
    "selected_options": "initial_options",
    "selected_date": "initial_date",
    "selected_time": "initial_time",
    "selected_date_time": "initial_date_time",
    "value": "initial_value",
}


def _initial(element: Json) -> Json:
    key = value_key(element["type"])
    initial = element.get(_INITIAL_KEYS.get(key, key.replace("selected_", "initial_")))
    if initial is None and key in (
        "selected_options",
        "selected_users",
        "selected_channels",
        "selected_conversations",
    ):
        initial = []
    return {"type": element["type"], key: initial}
