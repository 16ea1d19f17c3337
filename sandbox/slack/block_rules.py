"""Checks Block Kit as Slack does: every problem names the JSON pointer of its place.

Pure. Blocks and views are checked here, the elements inside them in `element_rules`. Limits are
those of Slack's block reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.slack.chart_rules import MAX_CHARTS, check_chart
from sandbox.slack.element_rules import (
    ACTION_ELEMENTS,
    CONTEXT_ACTION_ELEMENTS,
    INPUT_ELEMENTS,
    check_element,
)
from sandbox.slack.findings import Findings

MAX_MESSAGE_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_TEXT = 40_000
MAX_TABLE_ROWS = 100
MAX_TABLE_COLUMNS = 20
MAX_TABLE_CHARACTERS = 10_000


_ONLY_IN_MESSAGES = ("table", "markdown", "context_actions", "data_visualization")


def check_message_blocks(blocks: Any) -> Findings:
    """The findings for the blocks of a message; empty when Slack would accept them."""
    return _check_blocks(blocks, "/blocks", MAX_MESSAGE_BLOCKS, in_view=False)


def check_view(view: Any) -> Findings:
    found = Findings()
    if not found.is_object(view, "/view"):
        return found
    kind = view.get("type")
    if kind not in ("modal", "home"):
        found.add("unsupported type: " + str(kind), "/view/type")
        return found
    allowed = {"type", "blocks", "private_metadata", "callback_id", "external_id"}
    if kind == "modal":
        allowed |= {
            "title",
            "close",
            "submit",
            "clear_on_close",
            "notify_on_close",
            "submit_disabled",
        }
        found.text(view, "title", "/view", 24, kinds=("plain_text",), required=True)
        found.text(view, "submit", "/view", 24, kinds=("plain_text",))
        found.text(view, "close", "/view", 24, kinds=("plain_text",))
    found.only(view, "/view", allowed)
    found.string(view, "private_metadata", "/view", 3000)
    found.string(view, "callback_id", "/view", 255)
    found.string(view, "external_id", "/view", 255)
    found.extend(_check_blocks(view.get("blocks"), "/view/blocks", MAX_VIEW_BLOCKS, in_view=True))
    has_input = isinstance(view.get("blocks"), list) and any(
        isinstance(block, dict) and block.get("type") == "input" for block in view["blocks"]
    )
    if kind == "modal" and has_input and not view.get("submit"):
        found.add("missing required field: submit", "/view")
    return found


def _check_blocks(blocks: Any, at: str, limit: int, *, in_view: bool) -> Findings:
    found = Findings()
    if not found.is_list(blocks, at, most=limit):
        return found
    seen_ids: set[str] = set()
    tables = charts = 0
    for index, block in enumerate(blocks):
        here = f"{at}/{index}"
        if not found.is_object(block, here):
            continue
        kind = block.get("type")
        check = _BLOCKS.get(kind) if isinstance(kind, str) else None
        if check is None or (in_view and kind in _ONLY_IN_MESSAGES):
            found.add(f"unsupported type: {kind}", f"{here}/type")
            continue
        block_id = block.get("block_id")
        found.string(block, "block_id", here, 255)
        if isinstance(block_id, str) and block_id:
            if block_id in seen_ids:
                found.add(f"`block_id` already exists: {block_id}", f"{here}/block_id")
            seen_ids.add(block_id)
        tables += kind == "table"
        charts += kind == "data_visualization"
        check(block, here, found)
    if tables > 1:
        found.add("only_one_table_allowed", at)
    if charts > MAX_CHARTS:
        found.add(f"no more than {MAX_CHARTS} data_visualization blocks allowed", at)
    return found


def _section(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"text", "fields", "accessory", "expand"})
    if "text" not in block and "fields" not in block:
        found.add("missing required field: text or fields", at)
    found.text(block, "text", at, 3000)
    if "fields" in block and found.is_list(block["fields"], f"{at}/fields", most=10, least=1):
        for index, _ in enumerate(block["fields"]):
            found.text_object(block["fields"][index], f"{at}/fields/{index}", 2000)
    if "accessory" in block:
        check_element(block["accessory"], f"{at}/accessory", found, ACTION_ELEMENTS | {"image"})


def _context(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"elements"})
    if found.is_list(block.get("elements"), f"{at}/elements", most=10, least=1):
        for index, element in enumerate(block["elements"]):
            here = f"{at}/elements/{index}"
            if isinstance(element, dict) and element.get("type") == "image":
                check_element(element, here, found, frozenset({"image"}))
            else:
                found.text_object(element, here, 3000)


def _actions(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"elements"})
    _check_elements(block, at, found, ACTION_ELEMENTS, most=25)


def _context_actions(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"elements"})
    _check_elements(block, at, found, CONTEXT_ACTION_ELEMENTS, most=5)


def _check_elements(
    block: Any, at: str, found: Findings, allowed: frozenset[str], most: int
) -> None:
    if not found.is_list(block.get("elements"), f"{at}/elements", most=most, least=1):
        return
    seen: set[str] = set()
    for index, element in enumerate(block["elements"]):
        here = f"{at}/elements/{index}"
        check_element(element, here, found, allowed)
        action_id = element.get("action_id") if isinstance(element, dict) else None
        if isinstance(action_id, str):
            if action_id in seen:
                found.add(
                    f"`action_id` {action_id} already exists for another element in this block",
                    here,
                )
            seen.add(action_id)


def _header(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"text", "level"})
    found.text(block, "text", at, 150, kinds=("plain_text",), required=True)


def _divider(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, set())


def _image(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"image_url", "slack_file", "alt_text", "title"})
    if "image_url" not in block and "slack_file" not in block:
        found.add("missing required field: image_url", at)
    found.string(block, "image_url", at, 3000)
    found.string(block, "alt_text", at, 2000, required=True)
    found.text(block, "title", at, 2000, kinds=("plain_text",))


def _input(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"label", "element", "dispatch_action", "hint", "optional"})
    found.text(block, "label", at, 2000, kinds=("plain_text",), required=True)
    found.text(block, "hint", at, 2000, kinds=("plain_text",))
    if "element" not in block:
        found.add("missing required field: element", at)
    else:
        check_element(block["element"], f"{at}/element", found, INPUT_ELEMENTS)


def _markdown(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"text"})
    found.string(block, "text", at, 12_000, required=True)


def _table(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"rows", "column_settings"})
    if "column_settings" in block and found.is_list(
        block["column_settings"], f"{at}/column_settings", most=MAX_TABLE_COLUMNS
    ):
        for index, setting in enumerate(block["column_settings"]):
            here = f"{at}/column_settings/{index}"
            if setting is not None and found.is_object(setting, here):
                found.only(setting, here, {"align", "is_wrapped"}, typed=False)
                found.one_of(setting, "align", here, ("left", "center", "right"))
    if not found.is_list(block.get("rows"), f"{at}/rows", most=MAX_TABLE_ROWS, least=1):
        return
    characters = 0
    for number, row in enumerate(block["rows"]):
        here = f"{at}/rows/{number}"
        if not found.is_list(row, here, most=MAX_TABLE_COLUMNS, least=1):
            continue
        for column, cell in enumerate(row):
            characters += _check_cell(cell, f"{here}/{column}", found)
    if characters > MAX_TABLE_CHARACTERS:
        found.add(
            f"must be less than {MAX_TABLE_CHARACTERS + 1} characters in all cells", f"{at}/rows"
        )


def _check_cell(cell: Any, at: str, found: Findings) -> int:
    if not found.is_object(cell, at):
        return 0
    match cell.get("type"):
        case "raw_text" | "raw_number":
            found.only(cell, at, {"text", "value"})
            if cell["type"] == "raw_text":
                found.string(cell, "text", at, MAX_TABLE_CHARACTERS, required=True, least=1)
            return len(str(cell.get("text", cell.get("value", ""))))
        case "rich_text":
            _rich_text(cell, at, found)
            return rich_text_length(cell)
        case other:
            found.add(f"unsupported type: {other}", f"{at}/type")
            return 0


_RICH_CONTAINERS = {
    "rich_text_section",
    "rich_text_list",
    "rich_text_preformatted",
    "rich_text_quote",
}
_RICH_ELEMENTS: dict[str, set[str]] = {
    "text": {"text", "style"},
    "link": {"url", "text", "unsafe", "style"},
    "user": {"user_id", "style"},
    "usergroup": {"usergroup_id", "style"},
    "channel": {"channel_id", "style"},
    "emoji": {"name", "unicode", "skin_tone", "style", "display_team_id", "display_url"},
    "broadcast": {"range", "style"},
    "date": {"timestamp", "format", "url", "fallback", "style"},
    "color": {"value", "style"},
    "team": {"team_id", "style"},
}
_RICH_REQUIRED = {
    "text": "text",
    "link": "url",
    "user": "user_id",
    "usergroup": "usergroup_id",
    "channel": "channel_id",
    "emoji": "name",
    "broadcast": "range",
    "date": "timestamp",
    "color": "value",
}


def _rich_text(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"elements"})
    if not found.is_list(block.get("elements"), f"{at}/elements"):
        return
    for index, container in enumerate(block["elements"]):
        _check_rich_container(container, f"{at}/elements/{index}", found, _RICH_CONTAINERS)


def _check_rich_container(container: Any, at: str, found: Findings, allowed: set[str]) -> None:
    if not found.is_object(container, at):
        return
    kind = container.get("type")
    if kind not in allowed:
        found.add(f"unsupported type: {kind}", f"{at}/type")
        return
    extra = {"rich_text_list": {"style", "indent", "offset", "border"}, "rich_text_section": set()}
    found.only(container, at, {"elements"} | extra.get(str(kind), {"border", "language"}))
    if kind == "rich_text_list":
        found.one_of(container, "style", at, ("bullet", "ordered"), required=True)
    if not found.is_list(container.get("elements"), f"{at}/elements"):
        return
    for index, element in enumerate(container["elements"]):
        here = f"{at}/elements/{index}"
        if kind == "rich_text_list":
            _check_rich_container(element, here, found, {"rich_text_section"})
        else:
            _check_rich_element(element, here, found)


def _check_rich_element(element: Any, at: str, found: Findings) -> None:
    if not found.is_object(element, at):
        return
    kind = element.get("type")
    if kind not in _RICH_ELEMENTS:
        found.add(f"unsupported type: {kind}", f"{at}/type")
        return
    found.only(element, at, _RICH_ELEMENTS[kind])
    required = _RICH_REQUIRED.get(kind)
    if required and required not in element:
        found.add(f"missing required field: {required}", at)
    if kind == "text" and element.get("text") == "":
        found.add("must be more than 0 characters", f"{at}/text")
    style = element.get("style")
    if style is not None and found.is_object(style, f"{at}/style"):
        known = {
            "bold",
            "italic",
            "strike",
            "code",
            "underline",
            "highlight",
            "client_highlight",
            "unlink",
        }
        found.only(style, f"{at}/style", known, typed=False)


def rich_text_length(value: Any) -> int:
    """The characters a rich text shows, for the table's total."""
    if isinstance(value, list):
        return sum(rich_text_length(item) for item in value)
    if not isinstance(value, dict):
        return 0
    own = len(str(value.get("text", ""))) if value.get("type") in ("text", "link") else 0
    return own + rich_text_length(value.get("elements", []))


_BLOCKS: dict[str, Callable[[Any, str, Findings], None]] = {
    "section": _section,
    "context": _context,
    "actions": _actions,
    "context_actions": _context_actions,
    "header": _header,
    "divider": _divider,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "table": _table,
    "data_visualization": check_chart,
    "rich_text": _rich_text,
}
