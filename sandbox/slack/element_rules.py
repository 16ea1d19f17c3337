"""Checks the interactive elements of Block Kit as Slack does. Pure; see `block_rules`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.slack.findings import Findings

_SELECT_KINDS = ("static", "external", "users", "conversations", "channels")
SINGLE_SELECTS = frozenset(f"{kind}_select" for kind in _SELECT_KINDS)
MULTI_SELECTS = frozenset(f"multi_{kind}_select" for kind in _SELECT_KINDS)
_PICKERS = frozenset({"datepicker", "timepicker", "datetimepicker"})
_CHOICES = frozenset({"radio_buttons", "checkboxes"})
_TEXT_INPUTS = frozenset({"plain_text_input", "email_text_input", "url_text_input", "number_input"})

ACTION_ELEMENTS = (
    frozenset({"button", "overflow"}) | SINGLE_SELECTS | MULTI_SELECTS | _PICKERS | _CHOICES
)
INPUT_ELEMENTS = (
    SINGLE_SELECTS | MULTI_SELECTS | _PICKERS | _CHOICES | _TEXT_INPUTS | {"file_input"}
)
CONTEXT_ACTION_ELEMENTS = frozenset({"feedback_buttons", "icon_button"})

_COMMON = {"type", "action_id", "confirm", "focus_on_load", "placeholder", "accessibility_label"}
_OPTION_LIMITS = {
    "static_select": 100,
    "multi_static_select": 100,
    "overflow": 5,
    "radio_buttons": 10,
    "checkboxes": 10,
}
_KNOWN: dict[str, set[str]] = {
    "button": {"text", "url", "value", "style"},
    "icon_button": {"icon", "text", "value", "visible_to_user_ids"},
    "feedback_buttons": {"positive_button", "negative_button"},
    "image": {"image_url", "slack_file", "alt_text"},
    "overflow": {"options"},
    "static_select": {"options", "option_groups", "initial_option"},
    "external_select": {"min_query_length", "initial_option"},
    "users_select": {"initial_user"},
    "conversations_select": {
        "initial_conversation",
        "default_to_current_conversation",
        "response_url_enabled",
        "filter",
    },
    "channels_select": {"initial_channel", "response_url_enabled"},
    "multi_static_select": {"options", "option_groups", "initial_options", "max_selected_items"},
    "multi_external_select": {"min_query_length", "initial_options", "max_selected_items"},
    "multi_users_select": {"initial_users", "max_selected_items"},
    "multi_conversations_select": {
        "initial_conversations",
        "default_to_current_conversation",
        "max_selected_items",
        "filter",
    },
    "multi_channels_select": {"initial_channels", "max_selected_items"},
    "radio_buttons": {"options", "initial_option"},
    "checkboxes": {"options", "initial_options"},
    "datepicker": {"initial_date"},
    "timepicker": {"initial_time", "timezone"},
    "datetimepicker": {"initial_date_time"},
    "plain_text_input": {
        "initial_value",
        "multiline",
        "min_length",
        "max_length",
        "dispatch_action_config",
    },
    "email_text_input": {"initial_value", "dispatch_action_config"},
    "url_text_input": {"initial_value", "dispatch_action_config"},
    "number_input": {
        "is_decimal_allowed",
        "initial_value",
        "min_value",
        "max_value",
        "dispatch_action_config",
    },
    "file_input": {"filetypes", "max_files"},
}


def check_element(element: Any, at: str, found: Findings, allowed: frozenset[str]) -> None:
    if not found.is_object(element, at):
        return
    kind = element.get("type")
    if kind not in allowed:
        found.add(f"unsupported type: {kind}", f"{at}/type")
        return
    found.only(element, at, _KNOWN[kind] | _COMMON, typed=False)
    found.string(element, "action_id", at, 255)
    found.text(element, "placeholder", at, 150, kinds=("plain_text",))
    if "confirm" in element:
        _check_confirm(element["confirm"], f"{at}/confirm", found)
    if kind in _OPTION_LIMITS:
        _check_options(element, at, found, _OPTION_LIMITS[kind])
    elif kind in _TEXT_INPUTS:
        _check_text_input(element, at, found)
    elif kind in _CHECKS:
        _CHECKS[kind](element, at, found)


def _check_image(element: Any, at: str, found: Findings) -> None:
    found.string(element, "image_url", at, 3000)
    found.string(element, "alt_text", at, 2000, required=True)


def _check_text_input(element: Any, at: str, found: Findings) -> None:
    found.string(element, "initial_value", at, 3000)
    length = element.get("max_length")
    if length is not None and not (isinstance(length, int) and 0 < length <= 3000):
        found.add("must be between 1 and 3000", f"{at}/max_length")


def _check_feedback(element: Any, at: str, found: Findings) -> None:
    for key in ("positive_button", "negative_button"):
        if key not in element:
            found.add(f"missing required field: {key}", at)


def _check_button(button: Any, at: str, found: Findings) -> None:
    found.text(button, "text", at, 75, kinds=("plain_text",), required=True)
    found.string(button, "value", at, 2000)
    found.string(button, "url", at, 3000)
    found.string(button, "accessibility_label", at, 75)
    found.one_of(button, "style", at, ("primary", "danger"))


_CHECKS: dict[str, Callable[[Any, str, Findings], None]] = {
    "button": _check_button,
    "image": _check_image,
    "feedback_buttons": _check_feedback,
}


def _check_options(element: Any, at: str, found: Findings, most: int) -> None:
    if "option_groups" in element:
        if found.is_list(element["option_groups"], f"{at}/option_groups", most=100, least=1):
            for index, group in enumerate(element["option_groups"]):
                here = f"{at}/option_groups/{index}"
                if found.is_object(group, here):
                    found.text(group, "label", here, 75, kinds=("plain_text",), required=True)
                    check_options(group.get("options"), f"{here}/options", found, 100)
        return
    check_options(
        element.get("options"), f"{at}/options", found, most, rich=element["type"] in _CHOICES
    )
    values = [
        option.get("value") for option in element.get("options") or [] if isinstance(option, dict)
    ]
    initial = [*(element.get("initial_options") or []), element.get("initial_option")]
    for option in initial:
        if isinstance(option, dict) and option.get("value") not in values:
            found.add("initial option must exactly match one of the options", at)


def check_options(options: Any, at: str, found: Findings, most: int, *, rich: bool = False) -> None:
    if not found.is_list(options, at, most=most, least=1):
        return
    for index, option in enumerate(options):
        here = f"{at}/{index}"
        if not found.is_object(option, here):
            continue
        found.only(option, here, {"text", "value", "description", "url"}, typed=False)
        kinds = ("plain_text", "mrkdwn") if rich else ("plain_text",)
        found.text(option, "text", here, 75, kinds=kinds, required=True)
        found.text(option, "description", here, 75, kinds=kinds)
        found.string(option, "value", here, 150, required=True)


def _check_confirm(confirm: Any, at: str, found: Findings) -> None:
    if not found.is_object(confirm, at):
        return
    found.only(confirm, at, {"title", "text", "confirm", "deny", "style"}, typed=False)
    found.text(confirm, "title", at, 100, kinds=("plain_text",), required=True)
    found.text(confirm, "text", at, 300, required=True)
    found.text(confirm, "confirm", at, 30, kinds=("plain_text",), required=True)
    found.text(confirm, "deny", at, 30, kinds=("plain_text",), required=True)
    found.one_of(confirm, "style", at, ("primary", "danger"))
