"""Blocks are refused where Slack refuses them, and the place is named."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.slack.block_rules import check_message_blocks, check_view

Json = dict[str, Any]


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str) -> Json:
    return {"type": "section", "text": mrkdwn(text)}


def button(action_id: str = "go", **more: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": plain("Go"), **more}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def table(rows: int, columns: int, cell: str = "x", **more: Any) -> Json:
    return {
        "type": "table",
        "rows": [[{"type": "raw_text", "text": cell}] * columns for _ in range(rows)],
        **more,
    }


ACCEPTED: list[tuple[str, list[Json]]] = [
    ("fifty blocks", [section("x")] * 50),
    ("text of 3,000 characters", [section("x" * 3000)]),
    ("ten fields of 2,000", [{"type": "section", "fields": [mrkdwn("x" * 2000)] * 10}]),
    ("a header of 150", [{"type": "header", "text": plain("x" * 150)}]),
    ("twenty-five buttons", [actions(*(button(f"a{number}") for number in range(25)))]),
    ("a button with a value of 2,000", [actions(button(value="x" * 2000, style="danger"))]),
    ("ten context elements", [{"type": "context", "elements": [mrkdwn("x")] * 10}]),
    ("a table of 100 by 20", [table(100, 20)]),
    ("a divider", [{"type": "divider"}]),
    (
        "rich text with lists, preformatted text and mentions",
        [
            {
                "type": "rich_text",
                "elements": [
                    {
                        "type": "rich_text_list",
                        "style": "bullet",
                        "elements": [
                            {
                                "type": "rich_text_section",
                                "elements": [{"type": "user", "user_id": "U1"}],
                            }
                        ],
                    },
                    {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x"}]},
                ],
            }
        ],
    ),
]


@pytest.mark.parametrize(("what", "blocks"), ACCEPTED, ids=[what for what, _ in ACCEPTED])
def test_accepts_valid_blocks(what: str, blocks: list[Json]) -> None:
    assert check_message_blocks(blocks).problems == [], what


REFUSED: list[tuple[str, list[Any], str]] = [
    (
        "51 blocks",
        [section("x")] * 51,
        "no more than 50 items allowed [51 given] [json-pointer:/blocks]",
    ),
    (
        "3,001 characters",
        [section("x" * 3001)],
        "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
    ),
    (
        "an empty text",
        [section("")],
        "must be more than 0 characters [json-pointer:/blocks/0/text/text]",
    ),
    (
        "eleven fields",
        [{"type": "section", "fields": [mrkdwn("x")] * 11}],
        "no more than 10 items allowed [11 given]",
    ),
    (
        "a field of 2,001",
        [{"type": "section", "fields": [mrkdwn("x" * 2001)]}],
        "/blocks/0/fields/0/text]",
    ),
    (
        "a header of 151",
        [{"type": "header", "text": plain("x" * 151)}],
        "must be less than 151 characters",
    ),
    ("mrkdwn in a header", [{"type": "header", "text": mrkdwn("x")}], "unsupported type: mrkdwn"),
    (
        "a button text of 76",
        [actions({**button(), "text": plain("x" * 76)})],
        "/blocks/0/elements/0/text/text]",
    ),
    ("a value of 2,001", [actions(button(value="x" * 2001))], "must be less than 2001 characters"),
    ("an action_id of 256", [actions(button("x" * 256))], "must be less than 256 characters"),
    (
        "a block_id of 256",
        [{**section("x"), "block_id": "x" * 256}],
        "must be less than 256 characters",
    ),
    (
        "26 elements",
        [actions(*(button(f"a{number}") for number in range(26)))],
        "no more than 25 items allowed",
    ),
    (
        "the same action_id twice",
        [actions(button("a"), button("a"))],
        "already exists for another element",
    ),
    (
        "the same block_id twice",
        [{**section("x"), "block_id": "b"}] * 2,
        "`block_id` already exists: b",
    ),
    (
        "eleven context elements",
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
        "no more than 10 items",
    ),
    (
        "an unknown block",
        [{"type": "banner"}],
        "unsupported type: banner [json-pointer:/blocks/0/type]",
    ),
    (
        "an unknown key",
        [{**section("x"), "colour": "red"}],
        "invalid additional property: colour [json-pointer:/blocks/0]",
    ),
    ("an unknown style", [actions(button(style="green"))], "must be one of primary, danger"),
    ("a section without text", [{"type": "section"}], "missing required field: text or fields"),
    ("two tables", [table(1, 1), table(1, 1)], "only_one_table_allowed"),
    (
        "101 rows",
        [table(101, 1)],
        "no more than 100 items allowed [101 given] [json-pointer:/blocks/0/rows]",
    ),
    ("21 columns", [table(1, 21)], "no more than 20 items allowed"),
    (
        "a table of 10,001 characters",
        [table(1, 2, "x" * 5001)],
        "must be less than 10001 characters",
    ),
    (
        "an image without alt text",
        [{"type": "image", "image_url": "https://example.com/x.png"}],
        "missing required field: alt_text",
    ),
    (
        "a confirm dialog without words",
        [actions(button(confirm={"title": plain("Sure?")}))],
        "missing required field: text",
    ),
    (
        "six overflow options",
        [
            actions(
                {
                    "type": "overflow",
                    "action_id": "o",
                    "options": [{"text": plain("x"), "value": str(n)} for n in range(6)],
                }
            )
        ],
        "no more than 5",
    ),
    ("something that is no block", ["hello"], "must be an object [json-pointer:/blocks/0]"),
]


@pytest.mark.parametrize(
    ("what", "blocks", "problem"), REFUSED, ids=[what for what, _, _ in REFUSED]
)
def test_refuses_invalid_blocks(what: str, blocks: list[Any], problem: str) -> None:
    found = check_message_blocks(blocks)
    assert any(problem in line for line in found.problems), (what, found.problems)
    assert all(line.startswith("[ERROR] ") for line in found.messages)


def modal(**changes: Any) -> Json:
    return {"type": "modal", "title": plain("Deploy"), "blocks": [section("x")], **changes}


INPUT = {
    "type": "input",
    "label": plain("App"),
    "element": {"type": "plain_text_input", "action_id": "app"},
}


def test_a_modal_takes_at_most_a_hundred_blocks() -> None:
    assert not check_view(modal(blocks=[section("x")] * 100))
    assert check_view(modal(blocks=[section("x")] * 101))


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        (
            modal(title=plain("x" * 25)),
            "must be less than 25 characters [json-pointer:/view/title/text]",
        ),
        (modal(blocks=[INPUT]), "missing required field: submit"),
        (modal(private_metadata="x" * 3001), "must be less than 3001 characters"),
        (modal(blocks=[table(1, 1)]), "unsupported type: table"),
        (modal(color="red"), "invalid additional property: color"),
        ({"type": "sheet", "blocks": []}, "unsupported type: sheet"),
    ],
)
def test_refuses_an_invalid_view(view: Json, problem: str) -> None:
    assert any(problem in line for line in check_view(view).problems)
