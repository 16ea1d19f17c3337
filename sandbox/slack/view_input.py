"""The input of people in a view's elements, in the shape of Slack's `state.values`."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.views import value_key

Json = dict[str, Any]


def options_of(element: Json) -> list[Json]:
    grouped = [
        option
        for group in element.get("option_groups") or []
        for option in group.get("options", [])
    ]
    return [*(element.get("options") or []), *grouped]


def element_state(element: Json, value: Any) -> Json:
    """`value` as typed: a string, an option's value, an option object, or a list of these for
    multiple choices."""
    kind = element["type"]
    key = value_key(kind)
    chosen: Any
    match key:
        case "selected_option":
            chosen = None if value in (None, "") else _option(element, value)
        case "selected_options":
            chosen = [_option(element, item) for item in value or []]
        case _:
            chosen = value if value != "" else None
    return {"type": kind, key: chosen}


def _option(element: Json, value: Any) -> Json:
    if isinstance(value, dict):
        return {key: value[key] for key in ("text", "value", "description") if key in value}
    for option in options_of(element):
        if option["value"] == value:
            return {key: option[key] for key in ("text", "value", "description") if key in option}
    if "external" in element["type"]:
        return {
            "text": {"type": "plain_text", "text": str(value), "emoji": True},
            "value": str(value),
        }
    raise SlackError(
        "invalid_option", [f"[ERROR] {element.get('action_id')} has no option {value}"]
    )


def fill_state(view: Json, values: Json) -> None:
    """Writes the input into `state.values`. Keys are block ids, or unambiguous action ids."""
    for block in view["blocks"]:
        for element in (
            block.get("element"),
            block.get("accessory"),
            *(block.get("elements") or []),
        ):
            action_id = element.get("action_id") if isinstance(element, dict) else None
            state = view["state"]["values"].get(block["block_id"], {})
            if not isinstance(element, dict) or action_id not in state:
                continue
            if block["block_id"] in values:
                entered = values[block["block_id"]]
                if not isinstance(entered, dict):
                    state[action_id] = element_state(element, entered)
                elif action_id in entered:
                    state[action_id] = element_state(element, entered[action_id])
            elif action_id in values:
                state[action_id] = element_state(element, values[action_id])


def missing_inputs(view: Json) -> Json:
    """The inputs that Slack's own client refuses before it contacts the app: by block id, in its
    words."""
    errors: Json = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        state = view["state"]["values"][block["block_id"]][element["action_id"]]
        value = state.get(value_key(element["type"]))
        if value in (None, "", []):
            if not block.get("optional"):
                errors[block["block_id"]] = "Please complete this required field."
            continue
        if isinstance(value, str):
            least, most = element.get("min_length", 0), element.get("max_length", 3000)
            if len(value) < least:
                errors[block["block_id"]] = f"This must be at least {least} characters."
            elif len(value) > most:
                errors[block["block_id"]] = f"This must be at most {most} characters."
            elif element["type"] == "number_input" and not _is_number(element, value):
                errors[block["block_id"]] = "Please enter a number in range."
    return errors


def _is_number(element: Json, value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    if not element.get("is_decimal_allowed") and not number.is_integer():
        return False
    return (
        float(element.get("min_value", "-inf")) <= number <= float(element.get("max_value", "inf"))
    )
